// The overlay's own public key infrastructure: one CA, short-lived certificates, identities in a URI SAN.
import 'reflect-metadata';
import { createHash, createPublicKey, webcrypto, X509Certificate } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { type Identity, identityUri, parseIdentityUri } from './identity.ts';
import { Secret } from './secret.ts';
import { fail, ok, type Result } from '#proto/model/result.ts';
import type { Seconds, Timestamp } from '#proto/model/time.ts';

x509.cryptoProvider.set(webcrypto);

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
/** So that a clock that is late, by a time zone perhaps, takes a new certificate at once. A short life is at most doubled by it. */
const skew = 86_400_000;
const caValidity = 20 * 365 * 86_400_000;
const longestCsr = 8192;

export interface KeyPair {
  /** PEM, PKCS#8. */
  readonly key: Secret;
}

export interface CertificateAuthority extends KeyPair {
  /** PEM. */
  readonly certificate: string;
}

export interface CertificateRequest extends KeyPair {
  /** PKCS#10, DER. */
  readonly csr: Uint8Array;
}

export interface IssueOptions {
  /** PEM. */
  readonly ca: string;
  readonly caKey: Secret;
  /** PKCS#10, DER. Only its key is taken, after its signature proved the possession of it. */
  readonly csr: Uint8Array;
  readonly identity: Identity;
  /** Common name. */
  readonly name: string;
  readonly validity: Seconds;
  readonly usage: 'server' | 'client' | 'both';
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
  readonly now: Timestamp;
}

export interface IssuedCertificate {
  /** DER. */
  readonly certificate: Uint8Array;
  readonly expires: Timestamp;
}

export async function createCa(overlay: string, now: Timestamp): Promise<CertificateAuthority> {
  const keys = await generateKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: randomSerial(),
    name: [{ CN: [`dmwg ${overlay} CA`] }],
    notBefore: new Date(now - skew),
    notAfter: new Date(now + caValidity),
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate: pemOf(new Uint8Array(certificate.rawData)), key: await exportKey(keys.privateKey) };
}

/** For the given P-256 key, or a fresh one. The registry ignores the subject. */
export async function createCsr(name: string, key?: Secret): Promise<CertificateRequest> {
  const keys = key ? await keyPairOf(key) : await generateKeys();
  const csr = await x509.Pkcs10CertificateRequestGenerator.create({
    name: [{ CN: [name] }],
    keys,
    signingAlgorithm: algorithm,
  });
  return { csr: new Uint8Array(csr.rawData), key: await exportKey(keys.privateKey) };
}

/** Faults: "bad-csr". */
export async function issueCertificate(options: IssueOptions): Promise<Result<IssuedCertificate>> {
  const publicKey = await provenKey(options.csr);
  if (!publicKey.ok) return publicKey;
  const ca = new x509.X509Certificate(options.ca);
  const expires = Math.min(options.now + options.validity * 1000, ca.notAfter.getTime());
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: randomSerial(),
    subject: [{ CN: [options.name] }],
    issuer: ca.subjectName,
    notBefore: new Date(options.now - Math.min(skew, options.validity * 1000)),
    notAfter: new Date(expires),
    publicKey: publicKey.value,
    signingKey: await importKey(options.caKey),
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension(extendedUsages(options.usage)),
      new x509.SubjectAlternativeNameExtension([
        { type: 'url', value: identityUri(options.identity) },
        ...(options.dnsNames ?? []).map((value) => ({ type: 'dns' as const, value })),
        ...(options.ipAddresses ?? []).map((value) => ({ type: 'ip' as const, value })),
      ]),
      await x509.SubjectKeyIdentifierExtension.create(publicKey.value),
      await x509.AuthorityKeyIdentifierExtension.create(ca.publicKey),
    ],
  });
  return ok({ certificate: new Uint8Array(certificate.rawData), expires: certificate.notAfter.getTime() as Timestamp });
}

/** Whose certificate it is. Says nothing of who signed it: TLS checks that. Faults: "bad-certificate", "bad-identity". */
export function parseIdentity(der: Uint8Array): Result<Identity> {
  try {
    const names = new x509.X509Certificate(Buffer.from(der)).getExtension(x509.SubjectAlternativeNameExtension);
    const uris = (names?.names.items ?? []).filter((name) => name.type === 'url').map((name) => name.value);
    const [uri] = uris;
    if (uri === undefined || uris.length > 1) {
      return fail('bad-identity', 'the certificate does not name exactly one dmwg:// identity');
    }
    return parseIdentityUri(uri);
  } catch {
    return fail('bad-certificate', 'this is not an X.509 certificate');
  }
}

/** SHA-256 of the DER, hexadecimal. Takes PEM (its first certificate) or DER. */
export function fingerprint(certificate: string | Uint8Array): string {
  const der = typeof certificate === 'string' ? derOf(certificate) : certificate;
  return createHash('sha256').update(der).digest('hex');
}

export interface Validity {
  readonly from: Timestamp;
  readonly until: Timestamp;
}

/** Takes PEM or DER. Throws on what is no certificate. */
export function certificateValidity(certificate: string | Uint8Array): Validity {
  const parsed = new X509Certificate(certificate);
  return { from: Date.parse(parsed.validFrom) as Timestamp, until: Date.parse(parsed.validTo) as Timestamp };
}

/** Takes PEM or DER. Throws on what is no certificate. */
export function certificateExpiry(certificate: string | Uint8Array): Timestamp {
  return certificateValidity(certificate).until;
}

export function pemOf(der: Uint8Array): string {
  return new X509Certificate(der).toString();
}

/** Of the first certificate in the text. Throws on what is no certificate. */
export function derOf(pem: string): Uint8Array {
  return new Uint8Array(new X509Certificate(pem).raw);
}

/** The public key (SubjectPublicKeyInfo, DER) of a certificate request, whose signature proves the possession. Faults: "bad-csr". */
export async function requestedKey(csr: Uint8Array): Promise<Result<Uint8Array>> {
  const key = await provenKey(csr);
  return key.ok ? ok(new Uint8Array(key.value.rawData)) : key;
}

async function provenKey(der: Uint8Array): Promise<Result<x509.PublicKey>> {
  try {
    if (der.length > longestCsr) return fail('bad-csr', 'the certificate request is too long');
    const csr = new x509.Pkcs10CertificateRequest(Buffer.from(der));
    if (!isP256(csr.publicKey)) return fail('bad-csr', 'the certificate request is not for a P-256 key');
    return (await csr.verify())
      ? ok(csr.publicKey)
      : fail('bad-csr', 'the signature of the certificate request does not prove the possession of its key');
  } catch {
    return fail('bad-csr', 'this is not a PKCS#10 certificate request');
  }
}

function isP256(key: x509.PublicKey): boolean {
  const found = createPublicKey({ key: Buffer.from(key.rawData), format: 'der', type: 'spki' });
  return found.asymmetricKeyDetails?.namedCurve === 'prime256v1';
}

function extendedUsages(usage: IssueOptions['usage']): x509.ExtendedKeyUsage[] {
  const { serverAuth, clientAuth } = x509.ExtendedKeyUsage;
  return usage === 'both' ? [serverAuth, clientAuth] : usage === 'server' ? [serverAuth] : [clientAuth];
}

async function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
}

async function keyPairOf(pem: Secret): Promise<webcrypto.CryptoKeyPair> {
  const publicKey = createPublicKey(pem.reveal()).export({ type: 'spki', format: 'der' });
  return {
    privateKey: await importKey(pem, true),
    publicKey: await webcrypto.subtle.importKey('spki', publicKey, algorithm, true, ['verify']),
  };
}

async function exportKey(key: webcrypto.CryptoKey): Promise<Secret> {
  const body = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key)).toString('base64');
  const lines = body.match(/.{1,64}/g) ?? [];
  return new Secret(`-----BEGIN PRIVATE KEY-----\n${lines.join('\n')}\n-----END PRIVATE KEY-----\n`);
}

async function importKey(pem: Secret, extractable = false): Promise<webcrypto.CryptoKey> {
  const body = pem.reveal().replace(/-----[A-Z ]+-----|\s/g, '');
  return webcrypto.subtle.importKey('pkcs8', Buffer.from(body, 'base64'), algorithm, extractable, ['sign']);
}

/** 16 random octets; the first bit is cleared, as a serial number is positive. */
function randomSerial(): string {
  const bytes = webcrypto.getRandomValues(new Uint8Array(16));
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return Buffer.from(bytes).toString('hex');
}
