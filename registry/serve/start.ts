import type { Server as GrpcServer } from '@grpc/grpc-js';
import type { Server as HttpServer } from 'node:http';
import { pause } from '#proto/kit/clock.ts';
import { errorText, ProgramError } from '#proto/kit/errors.ts';
import type { HostPort } from '#proto/codec/host-port.ts';
import { Answers } from './answers.ts';
import { Complaints } from './complaints.ts';
import type { Connections } from './connections.ts';
import type { RegistryContext } from './context.ts';
import { Draining } from './draining.ts';
import { Damper } from './damper.ts';
import { Health } from './health.ts';
import { startHttp } from './http.ts';
import { Observations } from './observations.ts';
import { Replicas } from './replicas.ts';
import { Responder } from './responder.ts';
import { listenSocket, listenTls, type ServerParts } from './server.ts';
import { Roams } from './roams.ts';
import { Sessions } from './sessions.ts';
import { Sweeper } from './sweeper.ts';
import type { RegistryCertificate } from './tls.ts';

export interface ServeOptions {
  readonly certificate: RegistryCertificate;
  readonly listen: HostPort;
  readonly socket: string;
  readonly http: { readonly host: string; readonly port: number } | undefined;
  readonly descriptors: Uint8Array | undefined;
}

export interface Serving {
  /** The port of `listen`. */
  readonly port: number;
  readonly sessions: Sessions;
  readonly answers: Answers;
  /** Says goodbye to the nodes at once and stops, within a second. What the store says of them stays as it is: they will be back. */
  stop(): Promise<void>;
}

/** Between two looks at the registry's own certificate. */
const renewalCheck = 3_600_000;
const shutdownWithin = 1000;

/** Starts everything that serves. Throws ProgramError when it cannot listen, and leaves nothing running then. */
export async function serve(context: RegistryContext, options: ServeOptions): Promise<Serving> {
  const { certificate } = options;
  if (certificate.isDue()) await renew(context, certificate);
  const replicas = new Replicas(
    () => certificate.identity(),
    () => context.store.snapshot(),
    context.log,
  );
  await requireOwnAddress(context, replicas);
  const sessions = new Sessions(context, replicas);
  const answers = new Answers({
    context,
    sessions: sessions.open,
    deliver: (node, message) => sessions.deliverHere(node, message),
  });
  const roams = new Roams({ context, sessions, answers });
  const observations = new Observations(context);
  const complaints = new Complaints(context.clock, context.log);
  const damper = new Damper(context);
  const responder = new Responder({ context, sessions, answers, observations, complaints, damper });
  const sweeper = new Sweeper(context, sessions, observations);
  sessions.onOpenOrEnd = () => {
    sweeper.wake();
  };
  sessions.onGreeted = (node) => {
    answers.resume(node);
  };
  responder.onRevived = () => {
    sweeper.wake();
  };

  const health = new Health(context.store);
  const draining = new Draining(context, sessions, health);
  const parts: ServerParts = {
    context,
    sessions,
    responder,
    complaints,
    health,
    draining,
    descriptors: options.descriptors,
  };
  const servers: GrpcServer[] = [];
  const stopSweeping = new AbortController();
  let connections: Connections | undefined;
  let http: HttpServer | undefined;
  let sweeping: Promise<void> | undefined;
  const renewal = setInterval(() => {
    if (certificate.isDue()) {
      void renew(context, certificate).then(() => {
        replicas.close();
      });
    }
  }, renewalCheck).unref();

  const stop = async (): Promise<void> => {
    clearInterval(renewal);
    draining.stop();
    health.stop();
    connections?.close();
    // First: a session that ends now must not be taken for one that was lost. No commit begins any more; one that waits for
    // etcd is not waited for.
    stopSweeping.abort();
    sessions.drain();
    context.traffic.stop();
    roams.stop();
    observations.stop();
    damper.stop();
    const swept = new AbortController();
    void Promise.all([sweeping, answers.stop()]).finally(() => {
      swept.abort();
    });
    await Promise.all([...servers.map(shutDown), pause(shutdownWithin, swept.signal)]);
    replicas.close();
    http?.closeAllConnections();
    http?.close();
  };

  try {
    servers.push(await listenSocket(parts, options.socket));
    const listening = await listenTls(parts, certificate.serverCredentials(), options.listen);
    const { port } = listening;
    connections = listening.connections;
    servers.push(listening.server);
    if (options.http) http = await startHttp(context, options.http.host, options.http.port);
    sweeping = sweeper.run(stopSweeping.signal);
    return { port, sessions, answers, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Replicas that say the same address never reach each other. */
async function requireOwnAddress({ self }: RegistryContext, replicas: Replicas): Promise<void> {
  const other = self.address === '' ? undefined : await replicas.namesake(self);
  if (other === undefined) return;
  replicas.close();
  const help = 'give --advertise HOST:PORT, where the other replicas reach this one and no other';
  throw new ProgramError(`replica ${other} answers at ${self.address} already: ${help}`);
}

async function renew(context: RegistryContext, certificate: RegistryCertificate): Promise<void> {
  try {
    const expires = await certificate.renew();
    context.events.add('registry.certificate-renewed', '', `until ${new Date(expires).toISOString()}`);
  } catch (error) {
    context.log.error({ error: errorText(error) }, 'renewing the certificate of the registry failed');
  }
}

async function shutDown(server: GrpcServer): Promise<void> {
  await new Promise<void>((resolve) => {
    const late = setTimeout(() => {
      server.forceShutdown();
      resolve();
    }, shutdownWithin);
    server.tryShutdown(() => {
      clearTimeout(late);
      resolve();
    });
  });
}
