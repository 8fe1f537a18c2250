package report

import (
	"encoding/xml"
	"fmt"
	"math"
	"strings"
)

// Plots returns SVG files by name: for each other subject the ratios of the bars against it.
func (r *Report) Plots() map[string]string {
	by := map[string][]Verdict{}
	for _, v := range r.Verdicts {
		if v.Theirs != 0 && !strings.HasPrefix(v.Against, "row ") {
			by[v.Against] = append(by[v.Against], v)
		}
	}
	plots := map[string]string{}
	for against, all := range by {
		plots["against-"+against+".svg"] = r.plot(against, all)
	}
	return plots
}

// The plot's measures, in pixels.
const (
	rowHeight = 26
	labels    = 360
	bars      = 440
	figures   = 150
	top       = 56
)

// plot draws a bar for each verdict, on a logarithmic scale: how many times as good as the other; a stroke is what must be reached.
func (r *Report) plot(against string, all []Verdict) string {
	good := func(v Verdict, x float64) float64 { // more is better
		if v.AtLeast {
			return x
		}
		return 1 / x
	}
	low, high := 0.5, 2.0
	for _, v := range all {
		for _, x := range []float64{good(v, v.Ratio), good(v, v.Bound)} {
			low, high = min(low, x), max(high, x)
		}
	}
	low, high = low*0.9, high*1.1
	at := func(x float64) float64 { return labels + bars*math.Log(x/low)/math.Log(high/low) }
	height := top + rowHeight*len(all) + 30
	var out strings.Builder
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n", labels+bars+figures, height)
	fmt.Fprintf(&out, `<rect width="100%%" height="100%%" fill="#fff"/>`+"\n")
	fmt.Fprintf(&out, `<text x="12" y="20" font-size="15">holdfast against %s: how many times as good; the stroke is the bar</text>`+"\n", escape(against))
	fmt.Fprintf(&out, `<text x="12" y="38" fill="#666">%s, %s</text>`+"\n", escape(r.Machine.String()), r.Date.Format("2006-01-02"))
	for i, v := range all {
		y := float64(top + rowHeight*i)
		colour := "#b3402e"
		if v.Reached {
			colour = "#2e7d4f"
		}
		from, to := at(1), at(good(v, v.Ratio))
		fmt.Fprintf(&out, `<text x="%d" y="%.0f" text-anchor="end">%s: %s</text>`+"\n", labels-10, y+16, escape(v.Title), escape(v.Metric))
		fmt.Fprintf(&out, `<rect x="%.1f" y="%.0f" width="%.1f" height="16" fill="%s"/>`+"\n", min(from, to), y+4, math.Abs(to-from), colour)
		bound := at(good(v, v.Bound))
		fmt.Fprintf(&out, `<line x1="%.1f" y1="%.0f" x2="%.1f" y2="%.0f" stroke="#111" stroke-width="2"/>`+"\n", bound, y+1, bound, y+23)
		fmt.Fprintf(&out, `<text x="%d" y="%.0f">%s x (bar %s)</text>`+"\n", labels+bars+10, y+16, number(good(v, v.Ratio)), number(good(v, v.Bound)))
	}
	fmt.Fprintf(&out, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#999"/>`+"\n</svg>\n", at(1), top-4, at(1), height-26)
	return out.String()
}

func escape(text string) string {
	var out strings.Builder
	_ = xml.EscapeText(&out, []byte(text)) // a builder takes everything
	return out.String()
}
