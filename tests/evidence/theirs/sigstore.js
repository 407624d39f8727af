// Verifies Sigstore bundles with @sigstore/verify, and nothing of ours.
//
// Reads a JSON list of [bundle, PEM public key] from standard input and prints a JSON list of answers: the payload in
// base64, or "refused: " and why. The key is looked up by the bundle's hint, as the hash of its DER.
const crypto = require('crypto')
const { bundleFromJSON } = require('@sigstore/bundle')
const { Verifier, toSignedEntity, toTrustMaterial } = require('@sigstore/verify')

function verify(raw, pem) {
  const der = crypto.createPublicKey(pem).export({ type: 'spki', format: 'der' })
  const hint = crypto.createHash('sha256').update(der).digest('base64')
  const root = { certificateAuthorities: [], timestampAuthorities: [], tlogs: [], ctlogs: [] }
  const keys = { [hint]: { rawBytes: der, keyDetails: 'PKIX_ED25519' } }
  const bundle = bundleFromJSON(JSON.parse(raw))
  const verifier = new Verifier(toTrustMaterial(root, keys), { tlogThreshold: 0, ctlogThreshold: 0 })
  verifier.verify(toSignedEntity(bundle))
  return bundle.content.dsseEnvelope.payload.toString('base64')
}

const answers = JSON.parse(require('fs').readFileSync(0, 'utf8')).map(([raw, pem]) => {
  try {
    return verify(raw, pem)
  } catch (error) {
    return `refused: ${error.code || error.name}: ${error.message}`
  }
})
console.log(JSON.stringify(answers))
