package testnet

import (
	"encoding/csv"
	"errors"
	"fmt"
	"image/color"
	"os"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// shardColors tell shards apart, for the colour-blind too (Okabe and Ito's palette).
var shardColors = []color.Color{
	color.RGBA{0x00, 0x72, 0xb2, 0xff},
	color.RGBA{0xe6, 0x9f, 0x00, 0xff},
	color.RGBA{0x00, 0x9e, 0x73, 0xff},
	color.RGBA{0xcc, 0x79, 0xa7, 0xff},
	color.RGBA{0x56, 0xb4, 0xe9, 0xff},
	color.RGBA{0xd5, 0x5e, 0x00, 0xff},
}

// plotLoss draws each shard's loss over the steps, and the mean of all.
func plotLoss(path, title string, ranks [][]Metric) error {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, "step", "training loss"
	p.X.Min, p.Y.Min = 0, 0
	p.Legend.Top = true
	p.Add(plotter.NewGrid())
	sums, counts := map[int]float64{}, map[int]int{}
	last := 0
	for i, ms := range ranks {
		var points plotter.XYs
		for _, m := range ms {
			if m.Loss == nil {
				continue
			}
			points = append(points, plotter.XY{X: float64(m.Step), Y: *m.Loss})
			sums[m.Step] += *m.Loss
			counts[m.Step]++
			last = max(last, m.Step)
		}
		line, err := plotter.NewLine(points)
		if err != nil {
			return fmt.Errorf("plot shard %d: %w", i, err)
		}
		line.Width, line.Color = vg.Points(0.7), shardColors[i%len(shardColors)]
		p.Add(line)
		p.Legend.Add(fmt.Sprintf("shard %d", i), line)
	}
	var points plotter.XYs
	for s := 1; s <= last; s++ {
		if n := counts[s]; n > 0 {
			points = append(points, plotter.XY{X: float64(s), Y: sums[s] / float64(n)})
		}
	}
	mean, err := plotter.NewLine(points)
	if err != nil {
		return fmt.Errorf("plot: %w", err)
	}
	mean.Width = vg.Points(1.8)
	p.Add(mean)
	p.Legend.Add("mean", mean)
	return p.Save(18*vg.Centimeter, 11*vg.Centimeter, path)
}

// writeMetrics writes every rank's metrics as one table.
func writeMetrics(path string, ranks [][]Metric) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := csv.NewWriter(f)
	rows := [][]string{{"shard", "time", "step", "epoch", "rows", "loss", "accuracy", "parameter_hash"}}
	for i, ms := range ranks {
		for _, m := range ms {
			rows = append(rows, []string{
				strconv.Itoa(i), strconv.FormatFloat(m.Time, 'f', 3, 64), strconv.Itoa(m.Step), strconv.Itoa(m.Epoch),
				strconv.Itoa(m.Rows), number(m.Loss), number(m.Accuracy), m.ParameterHash,
			})
		}
	}
	return w.WriteAll(rows)
}

func number(f *float64) string {
	if f == nil {
		return ""
	}
	return strconv.FormatFloat(*f, 'g', -1, 64)
}
