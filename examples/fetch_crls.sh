#!/bin/sh
# Fetches CRLs, checks them and swaps them in, for cron. docs/revocation.md explains it.
#
#     fetch_crls.sh CA_BUNDLE CRL_FILE URL...
#
# CA_BUNDLE: PEM with the CAs that sign the CRLs. CRL_FILE: the file that the trust reads; the folder
# CRL_FILE.d beside it keeps the latest CRL of each URL. If a CRL cannot be fetched or is unfit, the
# script says why, changes nothing and exits with 1.
set -eu

[ $# -ge 3 ] || { echo "usage: $0 CA_BUNDLE CRL_FILE URL..." >&2; exit 2; }
bundle=$1 target=$2 kept=$2.d
shift 2
umask 022
mkdir -p "$kept"
# On the file system of the target, so that a rename replaces a file at once.
work=$(mktemp -d "$kept/new.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

fail() {
    echo "$0: $1; $target is unchanged" >&2
    exit 1
}

# Prints a date of a CRL, such as 20261129094527.
date_of() {
    openssl crl -in "$1" -noout "-$2" -dateopt iso_8601 | tr -cd 0-9
}

# OpenSSL compares a CRL with the first CA of its name only, so each CA gets a file of its own.
awk -v base="$work/ca." '/-----BEGIN CERTIFICATE-----/ { n++ } n { print > (base n) }' "$bundle"
is_signed() {
    for ca in "$work"/ca.*; do
        # The exit status does not tell whether the signature is valid.
        case $(openssl crl -in "$1" -noout -CAfile "$ca" 2>&1) in
            *"verify OK"*) return 0 ;;
        esac
    done
    return 1
}

for url in "$@"; do
    name=$(printf %s "$url" | openssl dgst -sha256 -r | cut -c1-32)
    curl --fail --silent --show-error --location --max-time 60 --max-filesize 67108864 \
        --output "$work/fetched" "$url" || fail "cannot fetch $url"
    openssl crl -in "$work/fetched" -inform DER -out "$work/$name.pem" 2>/dev/null ||
        openssl crl -in "$work/fetched" -inform PEM -out "$work/$name.pem" 2>/dev/null ||
        fail "no CRL at $url"
    is_signed "$work/$name.pem" || fail "no CA of $bundle has signed the CRL at $url"
    [ "$(date_of "$work/$name.pem" nextupdate)" -gt "$(date -u +%Y%m%d%H%M%S)" ] ||
        fail "the CRL at $url has expired"
    # An attacker on the way may replay an old CRL.
    if [ -e "$kept/$name.pem" ]; then
        [ "$(date_of "$work/$name.pem" lastupdate)" -ge "$(date_of "$kept/$name.pem" lastupdate)" ] ||
            fail "the CRL at $url is older than the one in use"
    fi
    cat "$work/$name.pem" >>"$work/all"
done

# Each rename is atomic, and the target is the last one: a reader sees all of the new CRLs, or none.
for url in "$@"; do
    name=$(printf %s "$url" | openssl dgst -sha256 -r | cut -c1-32)
    [ ! -e "$work/$name.pem" ] || mv "$work/$name.pem" "$kept/$name.pem"
done
mv "$work/all" "$target"
