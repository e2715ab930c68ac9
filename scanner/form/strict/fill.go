package strict

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// fill sets the fields of v, a pointer to a struct, from the table at path.
func (d *Doc) fill(path string, table map[string]any, v any) {
	d.table(path, table, reflect.ValueOf(v).Elem())
}

func (d *Doc) table(path string, table map[string]any, into reflect.Value) {
	fields := map[string]reflect.Value{}
	names := known(into, fields)
	for key, value := range table {
		if field, ok := fields[key]; ok {
			d.value(join(path, key), value, field)
		} else {
			d.Fault(join(path, key), "unknown key; known are %s", strings.Join(names, ", "))
		}
	}
}

// known notes the fields of a struct by their keys, those of embedded structs among them, and returns the keys in order.
func known(v reflect.Value, fields map[string]reflect.Value) (names []string) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("toml"), ",")
		switch {
		case field.Anonymous && name == "":
			names = append(names, known(v.Field(i), fields)...)
		case name != "" && name != "-":
			fields[name] = v.Field(i)
			names = append(names, name)
		}
	}
	return names
}

// value sets into from value, or notes why it cannot.
func (d *Doc) value(path string, value any, into reflect.Value) {
	if reader, ok := into.Addr().Interface().(encoding.TextUnmarshaler); ok {
		d.text(path, value, reader)
		return
	}
	if span, ok := into.Addr().Interface().(*time.Duration); ok {
		d.text(path, value, (*duration)(span))
		return
	}
	switch into.Kind() {
	case reflect.Struct:
		if table, ok := value.(map[string]any); ok {
			d.table(path, table, into)
			return
		}
	case reflect.Slice:
		if list, ok := items(value); ok {
			d.list(path, list, into)
			return
		}
	case reflect.Int, reflect.Int64:
		if n, ok := value.(int64); ok && n >= math.MinInt32 && n <= math.MaxInt32 {
			into.SetInt(n)
			return
		}
	default:
		if got := reflect.ValueOf(value); got.Kind() == into.Kind() && got.CanConvert(into.Type()) {
			into.Set(got.Convert(into.Type()))
			return
		}
	}
	d.Fault(path, "needs %s", noun(into.Kind()))
}

func (d *Doc) text(path string, value any, reader encoding.TextUnmarshaler) {
	s, ok := value.(string)
	if !ok {
		d.Fault(path, "needs %s", noun(reflect.String))
	} else if err := reader.UnmarshalText([]byte(s)); err != nil {
		d.Fault(path, "%v", err)
	}
}

// duration reads a time.Duration in the words of a person: "12h", "90m", "14d".
type duration time.Duration

func (d *duration) UnmarshalText(b []byte) error {
	s := string(b)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 && n <= maxDays {
			*d = duration(time.Duration(n) * 24 * time.Hour)
			return nil
		}
	} else if span, err := time.ParseDuration(s); err == nil && span >= 0 && span <= maxDays*24*time.Hour {
		*d = duration(span)
		return nil
	}
	return fmt.Errorf("%q is not a duration such as \"12h\" or \"14d\", %d days at most", s, maxDays)
}

// maxDays is the longest duration, ten years: nothing at a gate lasts longer.
const maxDays = 3660

func (d *Doc) list(path string, list []any, into reflect.Value) {
	out := reflect.MakeSlice(into.Type(), len(list), len(list))
	for i, item := range list {
		d.value(fmt.Sprintf("%s.%d", path, i), item, out.Index(i))
	}
	into.Set(out)
}

// items returns the members of a list of values or of tables.
func items(value any) ([]any, bool) {
	switch v := value.(type) {
	case []any:
		return v, true
	case []map[string]any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = v[i]
		}
		return list, true
	}
	return nil, false
}

func noun(k reflect.Kind) string {
	switch k {
	case reflect.Struct, reflect.Map:
		return "a table"
	case reflect.Slice:
		return "a list"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Bool:
		return "true or false"
	}
	return "a text in quotes"
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
