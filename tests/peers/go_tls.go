// A Go HTTPS server: go_tls <directory of the server> <root> require|optional|never <CRL or ""> <log>
// Prints its port when it listens. Refuses a certificate with an alert, after the client's own
// handshake is complete (TLS 1.3).
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
)

func main() {
	directory, root, asks, crl, log := os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5]
	pair, err := tls.LoadX509KeyPair(filepath.Join(directory, "tls.crt"), filepath.Join(directory, "tls.key"))
	check(err)
	accepted := x509.NewCertPool()
	accepted.AppendCertsFromPEM(read(root))
	modes := map[string]tls.ClientAuthType{
		"require":  tls.RequireAndVerifyClientCert,
		"optional": tls.VerifyClientCertIfGiven,
		"never":    tls.NoClientCert,
	}
	config := &tls.Config{
		Certificates: []tls.Certificate{pair},
		ClientCAs:    accepted,
		ClientAuth:   modes[asks],
		NextProtos:   []string{"http/1.1"},
	}
	if crl != "" {
		config.VerifyPeerCertificate = revocation(crl)
	}
	requests, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	check(err)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	check(err)
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	check(http.Serve(listener, http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		if _, err := io.Copy(io.Discard, request.Body); err != nil {
			return
		}
		_, port, _ := net.SplitHostPort(request.RemoteAddr)
		fmt.Fprintf(requests, "%s 200 %s\n", request.Header.Get("webhook-id"), port)
		io.WriteString(answer, "ok")
	})))
}

// Go checks no CRL by itself.
func revocation(path string) func([][]byte, [][]*x509.Certificate) error {
	block, _ := pem.Decode(read(path))
	list, err := x509.ParseRevocationList(block.Bytes)
	check(err)
	return func(_ [][]byte, chains [][]*x509.Certificate) error {
		for _, chain := range chains {
			for _, entry := range list.RevokedCertificateEntries {
				if entry.SerialNumber.Cmp(chain[0].SerialNumber) == 0 {
					return errors.New("revoked")
				}
			}
		}
		return nil
	}
}

func read(path string) []byte {
	data, err := os.ReadFile(path)
	check(err)
	return data
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
