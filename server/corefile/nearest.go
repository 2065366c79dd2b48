package corefile

import "strings"

// longestWord bounds the words that Nearest compares: no directive or option is longer, and the cost is quadratic.
const longestWord = 48

// Nearest returns the known word that was most likely meant by word, or "" when none is near. Letter case does not count;
// of equally near words the first one wins.
func Nearest(word string, known []string) string {
	if word == "" || len(word) > longestWord {
		return ""
	}
	nearest, least := "", allowedEdits(word)+1
	for _, candidate := range known {
		if candidate == "" || len(candidate) > longestWord {
			continue
		}
		if d := distance(strings.ToLower(word), strings.ToLower(candidate)); d < least {
			nearest, least = candidate, d
		}
	}
	return nearest
}

// allowedEdits grows with the word: at two edits nearly every word of three letters is near every other.
func allowedEdits(word string) int {
	switch n := len(word); {
	case n <= 1:
		return 0
	case n <= 4:
		return 1
	case n <= 8:
		return 2
	default:
		return 3
	}
}

// distance is the number of insertions, deletions, replacements and swaps of neighbours that turn a into b (optimal
// string alignment), counted in bytes.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replace := last[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			row[j] = min(last[j]+1, row[j-1]+1, replace)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
