# Makes what a receiver on this machine and the programs of the pages need, with the command
# webhook-mtls: two private CAs in pki and new-pki, and our files in this directory.
set -eu
us=spiffe://lab.test/webhooks consumer=spiffe://lab.test/acme
for ca in pki new-pki; do
    webhook-mtls lab init "$ca"
    webhook-mtls lab issue "$ca" receiver --server --ip 127.0.0.1 --uri "$consumer"
done
webhook-mtls lab issue pki sender --uri "$us"
cp pki/sender.crt tls.crt
cp pki/sender.key tls.key
cp pki/ca.pem ca.pem
# For rotate.md: a renewed certificate, and the root of another CA.
webhook-mtls lab issue pki renewed --uri "$us"
cp pki/renewed.crt tls.crt.new
cp pki/renewed.key tls.key.new
cp new-pki/ca.pem new-ca.pem
