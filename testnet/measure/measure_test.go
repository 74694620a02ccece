package measure

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// What is faster than its anchor has a ratio above 1, whichever way it is counted; a file says what the table says.
func TestRatioAndFile(t *testing.T) {
	ms := []Measure{
		Measure{Name: "x/seconds", Value: 2, Unit: "s"}.AgainstTime(8, "the other"),
		Measure{Name: "x/speed", Value: 2, Unit: "1/s"}.AgainstRate(8, "the other"),
		{Name: "x/size", Value: 2, Unit: "MB"},
	}
	if *ms[0].Ratio != 4 || *ms[1].Ratio != 0.25 {
		t.Errorf("ratios %v, %v", *ms[0].Ratio, *ms[1].Ratio)
	}
	path := filepath.Join(t.TempDir(), "new", "x.json")
	if err := Write(path, ms); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var read []Measure
	if err := json.Unmarshal(text, &read); err != nil || !reflect.DeepEqual(read, ms) {
		t.Errorf("read back %s: %v", text, err)
	}
	var s strings.Builder
	if err := Table(&s, ms); err != nil || strings.Count(s.String(), "\n") != 4 || !strings.Contains(s.String(), "x/size") {
		t.Errorf("%s, %v", s.String(), err)
	}
}
