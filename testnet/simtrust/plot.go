package main

import (
	"fmt"
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// curves are the lots that are drawn, by their number of shards, in colours that the colour-blind tell apart (Okabe and
// Ito's palette).
var curves = []struct {
	shards uint32
	color  color.Color
}{
	{1, color.RGBA{0x00, 0x72, 0xb2, 0xff}},
	{8, color.RGBA{0xe6, 0x9f, 0x00, 0xff}},
	{20, color.RGBA{0x00, 0x9e, 0x73, 0xff}},
	{100, color.RGBA{0xcc, 0x79, 0xa7, 0xff}},
}

// plot draws what nonsense can expect, over the rate at which shards are run again; dots were played.
func (r *report) plot(path string) error {
	p := plot.New()
	p.Title.Text = "What a provider can expect that returns nonsense"
	p.X.Label.Text, p.Y.Label.Text = "shards run again, %", "NTX, of a lot for 5 NTX"
	p.X.Min, p.X.Max = 0, 50
	p.Legend.Top = true
	p.Add(plotter.NewGrid())
	for _, c := range curves {
		d, check := r.setup.Deal, r.setup.check(0)
		d.Shards = c.shards
		var points plotter.XYs
		for x := 0.0; x <= 50; x += 0.25 {
			check.Rate = x / 100
			points = append(points, plotter.XY{X: x, Y: d.Profit(d.Shards, check) / ntx})
		}
		line, err := plotter.NewLine(points)
		if err != nil {
			return fmt.Errorf("plot: %w", err)
		}
		line.Color, line.Width = c.color, vg.Points(1.2)
		p.Add(line)
		p.Legend.Add(fmt.Sprintf("shards of a lot: %d", c.shards), line)
	}
	honest := plotter.NewFunction(func(float64) float64 { return r.setup.Deal.Honest() / ntx })
	honest.Dashes = []vg.Length{vg.Points(4), vg.Points(3)}
	zero := plotter.NewFunction(func(float64) float64 { return 0 })
	p.Add(honest, zero)
	p.Legend.Add("honest work", honest)
	var dots plotter.XYs
	for _, m := range r.byRate {
		s := m.By[Lazy]
		dots = append(dots, plotter.XY{X: 100 * m.Rate, Y: s.mean(s.Profit)})
	}
	scatter, err := plotter.NewScatter(dots)
	if err != nil {
		return fmt.Errorf("plot: %w", err)
	}
	scatter.Color, scatter.Shape = curves[len(curves)-1].color, draw.CircleGlyph{}
	p.Add(scatter)
	p.Legend.Add("played", scatter)
	return p.Save(18*vg.Centimeter, 11*vg.Centimeter, path)
}
