// Renews the node's certificate long before it expires. The key stays: one file changes, in one step.
import { Metadata } from '@grpc/grpc-js';
import { EnrolmentServiceClient } from '#proto/gen/dmwg/v1/enrolment.ts';
import { backoff } from '#proto/kit/backoff.ts';
import { certificateExpiry, certificateValidity, createCsr, pemOf, type Validity } from '#proto/kit/certificate.ts';
import { type Clock, pause } from '#proto/kit/clock.ts';
import { errorText } from '#proto/kit/errors.ts';
import type { Logger } from '#proto/kit/log.ts';
import { type ClientIdentity, registryChannelOptions, registryCredentials } from '#proto/kit/registry-credentials.ts';
import { fail, must, ok, type Result } from '#proto/model/result.ts';
import { checkIdentity, saveCertificate } from './identity.ts';
import type { Session } from './session-port.ts';
import type { StateDir } from './state-dir.ts';

export interface RenewOptions {
  readonly state: StateDir;
  readonly session: Pick<Session, 'replaceIdentity'>;
  readonly clock: Clock;
  /** [0, 1) */
  readonly random: () => number;
  readonly logger: Logger;
}

const callTimeout = 10_000;
/** The wall clock may be set, and a timer takes 24 days at most: look again at least so often. */
const longestNap = 3_600_000;

/** Runs until `signal` aborts. A failed attempt is repeated, and never ends it. */
export async function renewWhenDue(options: RenewOptions, signal: AbortSignal): Promise<void> {
  const { state, session, clock, random, logger } = options;
  let identity = state.identity;
  while (!signal.aborted) {
    const validity = certificateValidity(identity.certificate);
    await sleepUntil(renewalMoment(validity, random()), clock, signal);
    const lifetime = validity.until - validity.from;
    const waits = backoff(Math.min(30_000, lifetime / 60), Math.min(longestNap, lifetime / 12), random);
    const renewed = await renewAtLast(options, identity, waits, signal);
    if (!renewed) return;
    identity = renewed;
    session.replaceIdentity(identity);
    const expires = new Date(certificateExpiry(identity.certificate)).toISOString();
    logger.info({ node: state.config.node.id, expires }, 'certificate renewed');
  }
}

/** Two thirds of the lifetime, and up to a twentieth later: nodes that joined together do not renew together. */
export function renewalMoment({ from, until }: Validity, random: number): number {
  return from + (until - from) * (2 / 3 + random / 20);
}

async function renewAtLast(
  options: RenewOptions,
  identity: ClientIdentity,
  waits: Iterable<number>,
  signal: AbortSignal,
): Promise<ClientIdentity | undefined> {
  const { registry } = options.state.config;
  let attempt = 0;
  for (const wait of waits) {
    if (signal.aborted) return undefined;
    const endpoint = registry[attempt % registry.length] ?? '';
    const renewed = await attemptRenew(options.state, identity, endpoint, signal);
    if (renewed.ok) return renewed.value;
    // One line for a row of failures.
    if (attempt === 0) {
      options.logger.warn({ endpoint, reason: renewed.fault.message }, 'certificate not renewed; trying again');
    }
    attempt += 1;
    await pause(wait, signal);
  }
  return undefined;
}

async function attemptRenew(
  state: StateDir,
  identity: ClientIdentity,
  endpoint: string,
  signal: AbortSignal,
): Promise<Result<ClientIdentity | undefined>> {
  try {
    return ok(await renew(state, identity, endpoint, signal));
  } catch (error) {
    return signal.aborted ? ok(undefined) : fail('not-renewed', errorText(error));
  }
}

async function renew(
  state: StateDir,
  identity: ClientIdentity,
  endpoint: string,
  signal: AbortSignal,
): Promise<ClientIdentity> {
  const { csr } = await createCsr(state.config.node.name, identity.key);
  const certificate = pemOf(await callRenew(endpoint, identity, csr, signal));
  const renewed = must(checkIdentity({ ...identity, certificate }, state.config));
  if (certificateExpiry(certificate) <= certificateExpiry(identity.certificate)) {
    throw new Error('the registry gave a certificate that expires no later than the old one');
  }
  await saveCertificate(state.dir, certificate);
  return renewed;
}

/** The new certificate, DER. */
function callRenew(
  endpoint: string,
  identity: ClientIdentity,
  csr: Uint8Array,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const client = new EnrolmentServiceClient(endpoint, registryCredentials(identity), registryChannelOptions(endpoint));
  const deadline = Date.now() + callTimeout;
  return new Promise<Uint8Array>((resolve, reject) => {
    const call = client.renew({ csr: Buffer.from(csr) }, new Metadata(), { deadline }, (error, response) => {
      signal.removeEventListener('abort', cancel);
      client.close();
      if (error) reject(error);
      else resolve(response.certificate);
    });
    const cancel = (): void => {
      call.cancel();
    };
    signal.addEventListener('abort', cancel, { once: true });
  });
}

async function sleepUntil(moment: number, clock: Clock, signal: AbortSignal): Promise<void> {
  for (;;) {
    const left = moment - clock.date();
    if (left <= 0 || signal.aborted) return;
    await pause(Math.min(left, longestNap), signal);
  }
}
