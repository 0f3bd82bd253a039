// Judges chains with crypto/x509. Reads a line of JSON for each chain, and writes one for each verdict,
// at once.
package main

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"time"
)

type chain struct {
	Anchors       string `json:"anchors"`
	Leaf          string `json:"leaf"`
	Intermediates string `json:"intermediates"`
	Name          string `json:"name"`
	At            int64  `json:"at"`
}

type verdict struct {
	Accepted bool   `json:"accepted"`
	Why      string `json:"why"`
}

func judge(given chain) error {
	block, _ := pem.Decode([]byte(given.Leaf))
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err
	}
	options := x509.VerifyOptions{
		DNSName:       given.Name,
		Roots:         x509.NewCertPool(),
		Intermediates: x509.NewCertPool(),
		CurrentTime:   time.Unix(given.At, 0),
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	options.Roots.AppendCertsFromPEM([]byte(given.Anchors))
	options.Intermediates.AppendCertsFromPEM([]byte(given.Intermediates))
	_, err = leaf.Verify(options)
	return err
}

func main() {
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for in.More() {
		var given chain
		if err := in.Decode(&given); err != nil {
			panic(err)
		}
		var found verdict
		if err := judge(given); err == nil {
			found.Accepted = true
		} else {
			found.Why = err.Error()
		}
		if err := out.Encode(found); err != nil {
			panic(err)
		}
	}
}
