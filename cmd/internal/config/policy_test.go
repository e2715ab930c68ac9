package config_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"gatepost/cmd/internal/config"
	"gatepost/scanner/admission"
	"gatepost/scanner/credential"
	"gatepost/scanner/form"
)

func TestPolicy(t *testing.T) {
	for text, want := range map[string]admission.Policy{
		"schema = 1\n[policy]\n":                        {Unprovable: "admit", Duplicate: admission.DefaultDuplicate},
		"schema = 1\n[policy]\nforms = [\"x\"]":         {Forms: []string{"x"}, Unprovable: "look", Duplicate: admission.DefaultDuplicate},
		"\uFEFFschema = 1\r\npolicy.duplicate = \"0s\"": {Unprovable: "admit"},
		`schema = 1
[policy]
families = ["cccd", "hd1"]
forms = ["x", "y"]
unprovable = "refuse"
freshness = "12h"
duplicate = "1m"
`: {Families: []credential.Family{"cccd", "hd1"}, Forms: []string{"x", "y"}, Unprovable: "refuse", Freshness: 12 * time.Hour, Duplicate: time.Minute},
	} {
		got, err := config.Policy([]byte(text))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
	}
}

func TestPolicyFaults(t *testing.T) {
	for text, want := range map[string]string{
		"": "the file does not say schema = 1\nthe file has no table [policy]",
		"schema = 1\n[policy]\nfamilies = [\"cccd\", \"venue\"]\nunprovble = \"look\"\nfreshness = \"soon\"\nduplicate = \"2h\"\nunprovable = \"maybe\"": `line 3: policy.families.1: "venue" is not one of ["cccd" "personal" "bhyt" "hd1" "hc1" "shc" "paper"]
line 4: policy.unprovble: unknown key; known are families, forms, unprovable, freshness, duplicate, passback, roll_call, doses, days_since, expected, barred, trust_age
line 5: policy.freshness: "soon" is not a duration such as "12h" or "14d", 3660 days at most
line 6: policy.duplicate: an hour at most: somebody may have left unseen
line 7: policy.unprovable: "maybe" is not one of admit, look, refuse`,
		"schema = 1\n[policy]\nforms = [\"x\", \"x\"]": `line 3: policy.forms.1: "x" is empty or there twice`,
		"schema = 1\npolicy = 3":                       "line 2: policy: needs a table",
		"schema = \n":                                  "line 1: expected value but found '\\n' instead",
	} {
		if _, err := config.Policy([]byte(text)); fmt.Sprint(err) != want {
			t.Errorf("%q: got\n%v\nwant\n%s", text, err, want)
		}
	}
}

// The default asks for forms that are there.
func TestDefaultPolicy(t *testing.T) {
	forms, err := form.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range config.DefaultPolicy().Forms {
		if _, ok := forms.Newest(id); !ok {
			t.Errorf("no shipped form %q", id)
		}
	}
}
