// Renders the chart where there is no helm: Go's template engine, which helm uses, and the few functions that the chart
// calls. Values come as JSON on standard input; what toYaml writes is JSON, which is YAML too.
//
//	python3 -c 'import json,yaml;...' | go run render.go portcullis
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

func main() {
	if err := render(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func render(chart string) error {
	var data map[string]any
	if err := json.NewDecoder(os.Stdin).Decode(&data); err != nil {
		return err
	}
	all := template.New("chart").Option("missingkey=zero")
	indent := func(n int, text string) string {
		pad := strings.Repeat(" ", n)
		return pad + strings.ReplaceAll(text, "\n", "\n"+pad)
	}
	all.Funcs(template.FuncMap{
		"include": func(name string, data any) (string, error) {
			var out bytes.Buffer
			err := all.ExecuteTemplate(&out, name, data)
			return out.String(), err
		},
		"toYaml": func(value any) (string, error) {
			out, err := json.Marshal(value)
			return string(out), err
		},
		"fromYaml": func(text string) map[string]any {
			out := map[string]any{}
			for _, line := range strings.Split(text, "\n") {
				if key, value, ok := strings.Cut(line, ": "); ok {
					out[key] = value
				}
			}
			return out
		},
		"indent":     indent,
		"nindent":    func(n int, text string) string { return "\n" + indent(n, text) },
		"trunc":      func(n int, text string) string { return text[:min(n, len(text))] },
		"trimSuffix": func(suffix, text string) string { return strings.TrimSuffix(text, suffix) },
		"default": func(other, value any) any {
			if value == nil || value == "" {
				return other
			}
			return value
		},
		"sha256sum": func(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) },
		"dict":      func() map[string]any { return map[string]any{} },
		"merge": func(into map[string]any, more ...map[string]any) map[string]any {
			for _, one := range more {
				for key, value := range one {
					if _, known := into[key]; !known {
						into[key] = value
					}
				}
			}
			return into
		},
	})
	files, err := filepath.Glob(filepath.Join(chart, "templates", "*"))
	if err != nil {
		return err
	}
	tests, err := filepath.Glob(filepath.Join(chart, "templates", "tests", "*"))
	if err != nil {
		return err
	}
	var names []string
	for _, file := range append(files, tests...) {
		info, err := os.Stat(file)
		if err != nil || info.IsDir() {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if _, err := all.New(file).Parse(string(text)); err != nil {
			return err
		}
		names = append(names, file)
	}
	for _, name := range names {
		var out bytes.Buffer
		if err := all.ExecuteTemplate(&out, name, data); err != nil {
			return err
		}
		if strings.HasSuffix(name, ".yaml") {
			fmt.Printf("---\n%s\n", out.String())
		}
	}
	return nil
}

func min(a, b int) int {
	if a < b {
		return a
	}
	return b
}
