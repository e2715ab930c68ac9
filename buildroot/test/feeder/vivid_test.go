package main

import (
	"testing"
	"unsafe"
)

// The kernel takes the structures by their size, which stands in the request's number too.
func TestSizesAreTheKernels(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("the feeder is for 64-bit machines")
	}
	for _, c := range []struct {
		name          string
		size, request uintptr
	}{
		{"timings", unsafe.Sizeof(timings{}), setTimings},
		{"format", unsafe.Sizeof(format{}), setFormat},
		{"buffer", unsafe.Sizeof(buffer{}), queryBuffer},
	} {
		if want := c.request >> 16 & 0x3fff; c.size != want {
			t.Errorf("%s has %d bytes, its request %d", c.name, c.size, want)
		}
	}
	if at := unsafe.Offsetof(buffer{}.memory); at != 60 {
		t.Errorf("buffer.memory lies at %d, the kernel's at 60", at)
	}
}
