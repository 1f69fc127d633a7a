package main

import "bytes"

// figuresPage is what `bench figures` measured, in Markdown.
func figuresPage(r *figuresReport) string {
	var b bytes.Buffer
	b.WriteString(r.heading(r.Backend, r.Rounds))
	b.WriteString("Packing is the way into panels and back; OpenBLAS packs inside its products, where it is part of them.\n\n")
	var rows [][]string
	for _, f := range r.Figures {
		rows = append(rows, []string{f.Name, f.text(f.Median), f.text(f.Min), f.text(f.Max), f.verdict()})
	}
	markdown(&b, []string{"figure", "median", "min", "max", "ought to be"}, rows)
	b.WriteByte('\n')
	rows = stepRows(r)
	markdown(&b, rows[0], rows[1:])
	return b.String()
}
