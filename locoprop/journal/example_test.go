package journal_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/locoprop/locoprop-go/locoprop/journal"
)

// A search that is called twice, and the second time finds what the first has done.
func Example() {
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	type result struct {
		Rate float64 `json:"rate"`
		Loss float64 `json:"loss"`
	}
	for _, rates := range [][]float64{{0.1, 0.2}, {0.1, 0.2, 0.3}} {
		done := map[float64]float64{}
		f, err := journal.Open(filepath.Join(dir, "rates.jsonl"), func(line []byte, _ int) error {
			var r result
			if err := json.Unmarshal(line, &r); err != nil {
				return err
			}
			done[r.Rate] = r.Loss
			return nil
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, rate := range rates {
			if _, known := done[rate]; known {
				fmt.Println(rate, "is known")
				continue
			}
			fmt.Println(rate, "is tried")
			if err := f.Add(result{Rate: rate, Loss: 1 - rate}); err != nil {
				fmt.Println(err)
			}
		}
		if err := f.Close(); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// 0.1 is tried
	// 0.2 is tried
	// 0.1 is known
	// 0.2 is known
	// 0.3 is tried
}
