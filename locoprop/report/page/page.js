'use strict';

// Draws the charts of the page: document.querySelectorAll('.plot')[i] shows one of plots[i].
(() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const figure = x => {
    if (x == null) return '–';
    const size = Math.abs(x);
    if (size !== 0 && (size >= 1e6 || size < 1e-4)) return String(Number(x.toPrecision(5))).length < 9
      ? String(Number(x.toPrecision(5))) : x.toExponential(2);
    return String(Number(x.toPrecision(6)));
  };

  const element = (name, properties, ...children) => {
    const e = Object.assign(document.createElement(name), properties);
    e.append(...children);
    return e;
  };

  // columns joins the series, each with x of its own, to what uPlot draws: one x for all.
  const columns = (chart, log) => {
    const clean = list => log ? list.map(v => v > 0 ? v : null) : list;
    return uPlot.join(chart.series.map(s => s.low
      ? [s.x, clean(s.y), clean(s.low), clean(s.high)] : [s.x, clean(s.y)]));
  };

  // pointed is a line's value where the pointer is, and its last one where there is no pointer.
  const pointed = (u, v, i) => figure(u.cursor.idx == null ? u.data?.[i]?.findLast(y => y != null) : v);

  const wholeSteps = Array.from({ length: 13 }, (_, e) => [1, 2, 5].map(m => m * 10 ** e)).flat();

  const options = (chart, log, width) => {
    const whole = chart.series.every(s => s.x.every(Number.isInteger)); // epochs have no halves
    const series = [{ label: chart.x, value: (u, v) => figure(v) }];
    const bands = [];
    for (const s of chart.series) {
      series.push({
        label: s.name || chart.y, stroke: s.colour, width: 2, dash: s.dash || undefined, value: pointed,
        points: { show: (u, i) => u.data[i].filter(v => v != null).length < 30 },
      });
      if (s.low) {
        const bound = { class: 'bound', stroke: 'transparent', width: 0, points: { show: false } };
        series.push({ ...bound, label: 'low' }, { ...bound, label: 'high' });
        bands.push({ series: [series.length - 1, series.length - 2], fill: s.colour + '40' });
      }
    }
    const axis = label => ({
      label, labelSize: 22, labelGap: 2, stroke: colour('--quiet'), font: '12px system-ui, sans-serif', labelFont: '13px system-ui, sans-serif',
      grid: { stroke: colour('--rule'), width: 1 }, ticks: { stroke: colour('--rule'), width: 1 },
      values: (u, splits) => splits.map(v => v == null ? '' : figure(v)),
    });
    return {
      width, height: Math.round(Math.min(440, Math.max(280, width * 0.5))),
      series, bands,
      axes: [{ ...axis(chart.x), size: 34, incrs: whole && !chart.logX ? wholeSteps : undefined }, { ...axis(chart.y), size: 62 }],
      scales: { x: { time: false, ...(chart.logX ? { distr: 3, log: 10 } : {}) }, y: log ? { distr: 3, log: 10 } : {} },
      legend: { markers: { width: 2, dash: (u, i) => u.series[i].dash ? 'dashed' : 'solid' } },
      cursor: { drag: { x: true, y: false } },
      hooks: {
        setSeries: [(u, i, change) => {
          for (let k = i + 1; change.show != null && u.series[k]?.class === 'bound'; k++) u.setSeries(k, { show: change.show });
        }],
      },
    };
  };

  const start = (place, charts, log) => {
    if (charts.length === 0) return () => {};
    let chart = charts[0];
    let drawn = null;
    const canvas = element('div');
    const draw = () => {
      drawn?.destroy();
      drawn = null;
      canvas.replaceChildren();
      const table = chart.series.length ? columns(chart, log) : [[]];
      if (!table.slice(1).some(column => column.some(v => v != null))) {
        const why = log ? 'Nothing of it is above 0, as a logarithmic axis needs.' : 'There is nothing to draw yet.';
        canvas.append(element('p', { className: 'note', textContent: why }));
        return;
      }
      drawn = new uPlot(options(chart, log, place.clientWidth), table, canvas);
      const picture = drawn.root.querySelector('.u-wrap');
      picture.setAttribute('role', 'img');
      picture.setAttribute('aria-label', `${chart.y} over ${chart.x}`);
    };

    const controls = element('div', { className: 'controls' });
    const choice = (title, key) => {
      const names = [...new Set(charts.map(c => c[key]))];
      if (names.length < 2) return;
      const select = element('select', {}, ...names.map(n => element('option', { value: n, textContent: n })));
      select.addEventListener('change', () => {
        const wanted = { x: chart.x, y: chart.y, [key]: select.value };
        chart = charts.find(c => c.x === wanted.x && c.y === wanted.y) || charts.find(c => c[key] === wanted[key]);
        for (const s of controls.querySelectorAll('select')) s.value = chart[s.name];
        draw();
      });
      select.name = key;
      controls.append(element('label', {}, title, select));
    };
    choice('show', 'y');
    choice('over', 'x');
    const box = element('input', { type: 'checkbox', checked: log });
    box.addEventListener('change', () => { log = box.checked; draw(); });
    controls.append(element('label', {}, box, 'logarithmic'));

    place.replaceChildren(controls, canvas);
    draw();
    new ResizeObserver(() => {
      if (drawn && drawn.width !== place.clientWidth) draw();
    }).observe(place);
    return draw;
  };

  const redraw = [...document.querySelectorAll('.plot')].map((place, i) => start(place, data.plots[i], data.log[i]));
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => redraw.forEach(draw => draw()));
})();
