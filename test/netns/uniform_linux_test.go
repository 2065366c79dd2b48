package netns

import (
	"fmt"
	"math"
)

// spread tells what is wrong unless the answers are spread over servers with these weights, as far as chance allows: by the
// chi-square test, at a level where one of a million fair spreads fails.
func (t *Tally) spread(weights map[string]float64) error {
	total, sum := 0, 0.0
	for _, n := range t.Names {
		total += n
	}
	for _, weight := range weights {
		sum += weight
	}
	distance := 0.0
	for name, weight := range weights {
		expected := float64(total) * weight / sum
		if expected < 5 {
			return fmt.Errorf("%s: too few answers to judge a spread", t)
		}
		difference := float64(t.Names[name]) - expected
		distance += difference * difference / expected
	}
	if limit := chiSquareLimit(len(weights) - 1); distance > limit {
		return fmt.Errorf("%s: not spread as %v: chi-square %.1f of at most %.1f", t, weights, distance, limit)
	}
	return nil
}

// evenly is spread with equal weights.
func (t *Tally) evenly(names ...string) error {
	if err := t.only(names...); err != nil {
		return err
	}
	weights := map[string]float64{}
	for _, name := range names {
		weights[name] = 1
	}
	return t.spread(weights)
}

// chiSquareLimit is exceeded by chance once in a million times (the approximation of Wilson and Hilferty).
func chiSquareLimit(degrees int) float64 {
	if degrees == 0 {
		return 0
	}
	const z = 4.753 // of the normal distribution
	k := 2 / (9 * float64(degrees))
	return float64(degrees) * math.Pow(1-k+z*math.Sqrt(k), 3)
}
