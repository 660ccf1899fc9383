import { X509Certificate } from 'node:crypto';
import { experimental, type ServerCredentials } from '@grpc/grpc-js';
import {
  certificateValidity,
  createCsr,
  derOf,
  issueCertificate,
  parseIdentity,
  pemOf,
} from '#proto/kit/certificate.ts';
import type { Clock } from '#proto/kit/clock.ts';
import type { ClientIdentity } from '#proto/kit/registry-credentials.ts';
import type { Secret } from '#proto/kit/secret.ts';
import { must } from '#proto/model/result.ts';
import { seconds, type Timestamp } from '#proto/model/time.ts';

type Provider = experimental.CertificateProvider;

/** The registry's own certificate and key, as files hold them. PEM. */
export interface KeyMaterial {
  readonly certificate: string;
  readonly key: Secret;
}

export interface RegistryCertificateOptions {
  readonly ca: KeyMaterial;
  readonly initial: KeyMaterial;
  readonly clock: Clock;
  /** Keeps a new one for the next start, before it is used. */
  readonly save: (material: KeyMaterial) => Promise<void>;
}

/**
 * The certificate that the registry shows to nodes and to other replicas. It renews itself when a third of its life is
 * left; connections that are open go on with the old one. The chain that is shown includes the CA, so that `dmwg join` can
 * compare it with its token.
 */
export class RegistryCertificate {
  readonly #options: RegistryCertificateOptions;
  readonly #identityListeners = new Set<experimental.IdentityCertificateUpdateListener>();
  #current: KeyMaterial;

  constructor(options: RegistryCertificateOptions) {
    this.#options = options;
    this.#current = options.initial;
  }

  identity(): ClientIdentity {
    return { ca: this.#options.ca.certificate, certificate: this.#current.certificate, key: this.#current.key };
  }

  /** Asks every client for a certificate, and lets those without one in: they may enrol. */
  serverCredentials(): ServerCredentials {
    const ca = { caCertificate: Buffer.from(this.#options.ca.certificate) };
    // One object for both roles: the library's declaration has them in the other order than its code.
    const provider: Provider = {
      // Later, as the library begins to listen for updates only after it has asked for them.
      addCaCertificateListener: (listener) => {
        queueMicrotask(() => {
          listener(ca);
        });
      },
      removeCaCertificateListener: () => undefined,
      addIdentityCertificateListener: (listener) => {
        this.#identityListeners.add(listener);
        queueMicrotask(() => {
          listener(this.#update());
        });
      },
      removeIdentityCertificateListener: (listener) => {
        this.#identityListeners.delete(listener);
      },
    };
    return experimental.createCertificateProviderServerCredentials(provider, provider, false);
  }

  /** Whether a third or less of its life is left. */
  isDue(): boolean {
    const { from, until } = certificateValidity(this.#current.certificate);
    return until - this.#options.clock.date() <= (until - from) / 3;
  }

  /** With a new key, for the same names, and for as long as before. */
  async renew(): Promise<Timestamp> {
    const { ca, clock, save } = this.#options;
    const old = new X509Certificate(this.#current.certificate);
    const identity = must(parseIdentity(derOf(this.#current.certificate)));
    const { from, until } = certificateValidity(this.#current.certificate);
    const name = identity.kind === 'node' ? identity.id : identity.name;
    const names = (old.subjectAltName ?? '').split(', ');
    const ofKind = (kind: string): string[] =>
      names.filter((one) => one.startsWith(kind)).map((one) => one.slice(kind.length));
    const { csr, key } = await createCsr(name);
    const issued = must(
      await issueCertificate({
        ca: ca.certificate,
        caKey: ca.key,
        csr,
        identity,
        name,
        validity: seconds(Math.floor((until - from) / 1000)),
        usage: 'both',
        dnsNames: ofKind('DNS:'),
        ipAddresses: ofKind('IP Address:'),
        now: clock.date(),
      }),
    );
    const material = { certificate: pemOf(issued.certificate) + ca.certificate, key };
    await save(material);
    this.#current = material;
    for (const listener of this.#identityListeners) listener(this.#update());
    return issued.expires;
  }

  #update(): experimental.IdentityCertificateUpdate {
    return {
      certificate: Buffer.from(this.#current.certificate),
      privateKey: Buffer.from(this.#current.key.reveal()),
    };
  }
}
