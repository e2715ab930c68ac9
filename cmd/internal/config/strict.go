package config

import "gatepost/scanner/form/strict"

// Strict reads TOML over what v, a pointer to a struct with toml tags, holds already. Its error lists every
// unknown key and every value of the wrong type with its line, one a line. See package strict; whoever has
// faults of their own to add with their lines uses strict.Decode itself.
func Strict(text []byte, v any) error { return strict.Decode(text, v).Err() }
