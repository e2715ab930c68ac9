package hd1

import "gatepost/scanner/credential/envelope"

// What tests need to break a code on purpose.

var Read = read

// Rewrap changes the COSE message inside text.
func Rewrap(text string, change func([]byte) []byte) string {
	packed, err := envelope.Decode45(text[len(Prefix):])
	if err != nil {
		panic(err)
	}
	raw, err := envelope.Inflate(packed, maxInflated)
	if err != nil {
		panic(err)
	}
	return Wrap(deflate(change(raw)))
}

// Wrap writes packed as a code.
func Wrap(packed []byte) string { return Prefix + envelope.Encode45(packed) }

// Append puts bytes after the zlib stream.
func Append(text string, b ...byte) string {
	packed, err := envelope.Decode45(text[len(Prefix):])
	if err != nil {
		panic(err)
	}
	return Wrap(append(packed, b...))
}

// Payload returns the claims inside text.
func Payload(text string) []byte {
	msg, detail := unwrap(text[len(Prefix):])
	if detail != "" {
		panic(detail)
	}
	return msg.Payload
}
