// The nodes' side of registry-load.ts, in a process of its own: sessions, and the load on them.
import { encodeNhrp } from '#proto/codec/nhrp.ts';
import type { NhrpMessage } from '#proto/model/nhrp.ts';
import { multipoint, registration, resolution } from '#test/support/registry-fixtures.ts';
import { BareSession, framed } from './bare-session.ts';
import type { Ready } from './registry-load-registry.ts';
import { percentile } from './table.ts';

export interface LoadOrder {
  readonly kind: 'health' | 'resolution' | 'registration';
  /** Whether those before are answered or not; undefined: each session asks again when it was answered. */
  readonly perSecond: number | undefined;
  readonly seconds: number;
}

/** Times are milliseconds since a request was due, which is before it was sent if this process was late. */
export interface Load {
  readonly asked: number;
  readonly answeredPerSecond: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly unanswered: number;
  /** Sessions that ended meanwhile. */
  readonly lost: number;
  /** Milliseconds of CPU of this process for each second. */
  readonly cpu: number;
}

/** Milliseconds; what takes longer was lost. */
const patience = 5000;
const handshakesAtOnce = 16;
const sessions: BareSession[] = [];
/** By request ID: what is called with the answer. */
const waiting = new Map<number, (answered: boolean) => void>();
let nextId = 0;

process.once('message', (ready: Ready) => {
  void connectAll(ready).then(() => {
    process.send?.('connected');
    process.on('message', (order: LoadOrder | 'stop') => {
      if (order === 'stop') process.exit(0);
      void run(ready, order).then((load) => process.send?.(load));
    });
  });
});

/** All that are not there. */
async function connectAll(ready: Ready): Promise<void> {
  const missing = [...ready.members.entries()].filter(([index]) => sessions[index]?.ended !== false);
  for (let start = 0; start < missing.length; start += handshakesAtOnce) {
    const part = missing.slice(start, start + handshakesAtOnce).map(([index, member]) => {
      const session = new BareSession(ready, member, ({ body }) => {
        // Introductions and purges come as well.
        if (body?.$case !== 'nhrp' || body.value.body?.$case.endsWith('Request') !== false) return;
        waiting.get(body.value.requestId)?.(true);
      });
      sessions[index] = session;
      return session.welcome;
    });
    await Promise.all(part);
  }
}

async function run(ready: Ready, { kind, perSecond, seconds }: LoadOrder): Promise<Load> {
  await connectAll(ready);
  const ask = kind === 'health' ? health : asking(kind, ready);
  const cpu = process.cpuUsage();
  const begun = performance.now();
  const times =
    perSecond === undefined ? await closedLoop(ask, seconds) : await openLoop(ask, perSecond, perSecond * seconds);
  const took = (performance.now() - begun) / 1000;
  const spent = process.cpuUsage(cpu);
  const sorted = Float64Array.from(times).sort();
  const unanswered = times.filter((time) => !Number.isFinite(time)).length;
  return {
    asked: times.length,
    answeredPerSecond: (times.length - unanswered) / (perSecond === undefined ? took : seconds),
    p50: percentile(sorted, 0.5),
    p99: percentile(sorted, 0.99),
    p999: percentile(sorted, 0.999),
    unanswered,
    lost: sessions.filter(({ ended }) => ended).length,
    cpu: (spent.user + spent.system) / 1000 / took,
  };
}

/** What is to be sent when a request is due. Resolves with whether it was answered. */
type Ask = (session: BareSession) => () => Promise<boolean>;

/** Everything is made before the first is due. */
async function openLoop(ask: Ask, perSecond: number, count: number): Promise<number[]> {
  const prepared = Array.from({ length: count }, (_, index) => ask(sessionOf(index)));
  const times: number[] = [];
  const open: Promise<void>[] = [];
  const begun = performance.now();
  for (let sent = 0; sent < count; ) {
    const due = Math.min(count, Math.floor(((performance.now() - begun) / 1000) * perSecond) + 1);
    for (; sent < due; sent++) {
      const send = prepared[sent];
      const dueAt = begun + (sent * 1000) / perSecond;
      if (send) open.push(timed(times, dueAt, send));
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(open);
  return times;
}

async function closedLoop(ask: Ask, seconds: number): Promise<number[]> {
  const times: number[] = [];
  const end = performance.now() + seconds * 1000;
  const go = async (session: BareSession): Promise<void> => {
    while (performance.now() < end && !session.ended) {
      const send = ask(session);
      await timed(times, performance.now(), send);
    }
  };
  await Promise.all(sessions.map(go));
  return times;
}

function sessionOf(index: number): BareSession {
  const session = sessions[index % sessions.length];
  if (!session) throw new Error('no session');
  return session;
}

async function timed(times: number[], dueAt: number, send: () => Promise<boolean>): Promise<void> {
  const answered = await send();
  times.push(answered ? performance.now() - dueAt : Infinity);
}

/** Requests on the sessions of nodes, answered by messages with their IDs. */
function asking(kind: 'resolution' | 'registration', ready: Ready): Ask {
  return (session) => {
    const id = ++nextId;
    const message = kind === 'resolution' ? resolve(ready, session, id) : register(session, id);
    const frame = framed({ body: { $case: 'nhrp', value: encodeNhrp(message) } });
    return () => {
      session.write(frame);
      return new Promise((resolve) => {
        const end = (answered: boolean): void => {
          clearTimeout(timer);
          waiting.delete(id);
          resolve(answered);
        };
        const timer = setTimeout(end, patience, false);
        waiting.set(id, end);
      });
    };
  };
}

function resolve({ destinations }: Ready, { address }: BareSession, id: number): NhrpMessage {
  return { ...resolution(address, destinations[(id * 7919) % destinations.length] ?? ''), requestId: id };
}

/** With another MTU each time: written to etcd, and nobody has to be told. */
function register({ address }: BareSession, id: number): NhrpMessage {
  const request = registration(address, [multipoint(`key of ${address}`, ['192.0.2.1:1024'])]);
  const cies = request.body.cies.map((cie) => ({ ...cie, mtu: 1280 + (id % 1000) }));
  return { ...request, requestId: id, body: { ...request.body, cies } };
}

/** The cheapest call, on the connection of the session. */
function health(session: BareSession): () => Promise<boolean> {
  return () => session.call('/grpc.health.v1.Health/Check');
}
