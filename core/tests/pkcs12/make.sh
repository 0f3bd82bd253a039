#!/bin/sh
# Makes the PKCS#12 files of this folder: with OpenSSL 3 in its current format and in the format of
# Windows and OpenSSL 1, with the keytool of OpenJDK 17, and with the pk12util of NSS 3.87 (Firefox). The certificates are valid to 2120, and
# the keys are public. Each file opens with "correct horse", unless its name says otherwise.
#
# Needs openssl, keytool, certutil and pk12util (Debian: libnss3-tools). Not part of any build: the files are committed.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

days=35000
subject() { # name, issuer ("" for a root), extensions
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$work/$1.key" 2>/dev/null
    openssl req -new -key "$work/$1.key" -subj "/CN=$1" -out "$work/$1.csr"
    printf '%s\n' "$3" > "$work/$1.ext"
    if [ -z "$2" ]; then sign="-signkey $work/$1.key"; else
        sign="-CA $work/$2.crt -CAkey $work/$2.key -CAcreateserial"; fi
    # shellcheck disable=SC2086
    openssl x509 -req -in "$work/$1.csr" $sign -days $days -extfile "$work/$1.ext" \
        -out "$work/$1.crt" 2>/dev/null
}
ca='basicConstraints=critical,CA:TRUE
keyUsage=critical,keyCertSign,cRLSign'
leaf='basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=clientAuth
subjectAltName=URI:spiffe://corp/tenant/acme'
subject root "" "$ca"
subject issuing root "$ca"
subject acme issuing "$leaf"
subject stranger "" "$leaf"

pass='correct horse'
# The root first: the order within a file has no meaning.
cat "$work/root.crt" "$work/issuing.crt" > "$work/cas.crt"
export_p12() { # out, further arguments
    out=$1; shift
    openssl pkcs12 -export -inkey "$work/acme.key" -in "$work/acme.crt" -certfile "$work/cas.crt" \
        -name acme -passout "pass:$pass" -out "$out" "$@"
}
export_p12 openssl3.p12
export_p12 openssl3_legacy.p12 -legacy
export_p12 windows_tripledes_sha1.p12 -keypbe PBE-SHA1-3DES -certpbe PBE-SHA1-3DES -macalg sha1
export_p12 rc2_128.p12 -legacy -keypbe PBE-SHA1-RC2-128 -certpbe PBE-SHA1-RC2-128
export_p12 two_key_tripledes.p12 -legacy -keypbe PBE-SHA1-2DES -certpbe PBE-SHA1-2DES
export_p12 aes128_sha512_mac.p12 -keypbe AES-128-CBC -certpbe AES-128-CBC -macalg sha512
export_p12 certificates_in_clear.p12 -certpbe NONE
export_p12 no_mac.p12 -nomac
pass='grüße € 𝄞' export_p12 unicode_passphrase.p12 -legacy
pass='' export_p12 empty_passphrase.p12
openssl pkcs12 -export -nocerts -inkey "$work/acme.key" -passout "pass:$pass" -out no_certificate.p12
openssl pkcs12 -export -nokeys -in "$work/acme.crt" -passout "pass:$pass" -out no_key.p12
openssl pkcs12 -export -inkey "$work/acme.key" -in "$work/acme.crt" -certfile "$work/stranger.crt" \
    -passout "pass:$pass" -out stray_certificate.p12
# A key without its leaf: OpenSSL refuses to make this file and keytool cannot. The key bag of one
# file with the certificates of another would need another MAC; the vectors cover this case.

keytool -importkeystore -noprompt -srckeystore openssl3.p12 -srcstoretype PKCS12 \
    -srcstorepass "$pass" -destkeystore keytool.p12 -deststoretype PKCS12 -deststorepass "$pass" \
    2>/dev/null
keytool -J-Dkeystore.pkcs12.legacy -importkeystore -noprompt -srckeystore openssl3.p12 \
    -srcstoretype PKCS12 -srcstorepass "$pass" -destkeystore keytool_legacy.p12 \
    -deststoretype PKCS12 -deststorepass "$pass" 2>/dev/null
cp keytool.p12 several_keys.p12
keytool -genkeypair -alias second -keyalg EC -groupname secp256r1 -dname CN=second -validity $days \
    -keystore several_keys.p12 -storepass "$pass" 2>/dev/null

# NSS writes BER: indefinite lengths, and strings in several parts.
printf '%s\n' "$pass" > "$work/passphrase"
certutil -N -d "sql:$work" --empty-password
pk12util -i openssl3.p12 -d "sql:$work" -w "$work/passphrase" > /dev/null
export_nss() { # out, further arguments
    out=$1; shift
    pk12util -o "$out" -n acme -d "sql:$work" -w "$work/passphrase" "$@" > /dev/null
}
export_nss nss.p12
export_nss nss_legacy.p12 -c 'PKCS #12 V2 PBE With SHA-1 And 3KEY Triple DES-CBC' \
    -C 'PKCS #12 V2 PBE With SHA-1 And 40 Bit RC2 CBC'
