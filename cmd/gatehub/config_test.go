package main

import (
	"strings"
	"testing"
)

func TestEngine(t *testing.T) {
	for engine, ok := range map[string]bool{
		"":                                    true,
		"nats://a:4222":                       true,
		"nats://a:4222,nats://b:4222,tls://c": true,
		"nats://a,b,c":                        true,
		"nats://hub:secret@10.0.0.1:4222":     true,
		"nats://[::1]:4222":                   true,
		"http://a:4222":                       false,
		"nats://":                             false,
		"nats://a,":                           false,
		"nats://a, nats://b":                  false,
		"nats://a/log":                        false,
		"nats://a?x=1":                        false,
		"nats://hub:secret@a:port":            false,
	} {
		c, err := parseConfig([]byte("schema = 1\nengine = \"" + engine + "\"\n"))
		if ok && (err != nil || c.Engine != engine) || !ok && (err == nil || !strings.Contains(err.Error(), "engine")) {
			t.Errorf("%q: %v", engine, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the password is told: %v", err)
		}
	}
}
