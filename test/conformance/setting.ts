// A live registry on loopback, and nodes that speak to it by hand over gRPC and mutual TLS.
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { CertificateAuthority } from '#proto/kit/certificate.ts';
import { type ErrorIndication, type NhrpBody, type NhrpMessage, uniquePrefixLength } from '#proto/model/nhrp.ts';
import type { BindingRecord, NodeRecord, OverlayRecord } from '#registry/decide/records.ts';
import { createMemoryStore, type MemoryStore } from '#test/support/memory-store.ts';
import { authority, issue } from '#test/support/pki.ts';
import { until } from '#test/support/poll.ts';
import {
  address,
  announcement,
  cie,
  enrolled,
  message,
  multipoint,
  nodeRecord,
  overlayRecord,
  prefix,
  registration,
  resolution,
} from '#test/support/registry-fixtures.ts';
import { type NodeSession, overlayName, type RegistryHost, registryFor, within } from '#test/support/registry-host.ts';

/** One for all tests, as keys take time. */
let shared: Promise<CertificateAuthority> | undefined;

type Body<T extends NhrpBody['type']> = NhrpMessage<Extract<NhrpBody, { type: T }>>;

/** A node with a session, and everything that it was answered. */
export interface Speaker {
  readonly record: NodeRecord;
  readonly session: NodeSession;
  readonly address: string;
  /** Everything with the request's ID that came before the registry had done with the request. */
  answers(request: NhrpMessage): Promise<readonly NhrpMessage[]>;
  /** The one answer, of this type. */
  answer<T extends NhrpBody['type']>(request: NhrpMessage, type: T): Promise<Body<T>>;
  /** Registers address and prefixes. */
  register(key?: string): Promise<void>;
  /** Of the CIEs in the one answer. */
  codes(request: NhrpMessage): Promise<readonly number[]>;
}

export interface Setting {
  readonly registry: RegistryHost;
  readonly store: MemoryStore;
  /** A node by number that is enrolled and connected, and registered unless `silent`. */
  node(number: number, parts?: Partial<NodeRecord> & { readonly silent?: boolean }): Promise<Speaker>;
  /** A node that is not connected, with what it had registered. */
  absent(record: NodeRecord, binding: BindingRecord): void;
}

interface Options {
  readonly overlay?: Partial<OverlayRecord>;
  /** To share with another replica. */
  readonly store?: MemoryStore;
  readonly replica?: string;
}

export async function settingFor(t: TestContext, options: Options = {}): Promise<Setting> {
  shared ??= authority(overlayName);
  const ca = await shared;
  const store = options.store ?? createMemoryStore();
  if (!options.store) store.force({ put: [{ kind: 'overlay', record: overlayRecord(options.overlay) }] });
  const registry = await registryFor(t, { store: () => store, ca, replica: options.replica ?? 'replica-1' });
  return {
    registry,
    store,
    absent(record, binding) {
      store.force({ put: enrolled(record, binding) });
    },
    async node(number, { silent = false, ...parts } = {}) {
      const record = nodeRecord(number, parts);
      store.force({ put: enrolled(record) });
      const identity = await issue(ca, { kind: 'node', overlay: overlayName, id: record.id });
      const session = registry.connect(identity);
      session.send({ type: 'hello', agentVersion: 'test' });
      await session.take('welcome');
      const one = speaker(record, session);
      if (!silent) await one.register();
      return one;
    },
  };
}

/** Two replicas on one store. */
export async function pairFor(t: TestContext): Promise<{ readonly one: Setting; readonly two: Setting }> {
  const one = await settingFor(t, { replica: 'replica-1' });
  const two = await settingFor(t, { store: one.store, replica: 'replica-2' });
  await until(
    'the replicas know each other',
    () => [...one.store.snapshot().replicas.values()].filter((each) => each.address !== '').length === 2,
    { within },
  );
  return { one, two };
}

let lastId = 1000;
export const newId = (): number => ++lastId;

/** The fixtures of registry-fixtures.ts, each with an ID of its own. */
export const ask = (...parts: Parameters<typeof resolution>) => ({ ...resolution(...parts), requestId: newId() });
export const enter = (...parts: Parameters<typeof registration>) => ({ ...registration(...parts), requestId: newId() });
export const announce = (...parts: Parameters<typeof announcement>) => ({
  ...announcement(...parts),
  requestId: newId(),
});

export function purge(source: string, classes: readonly string[], noReply = false) {
  const cies = classes.map((text) => {
    const [network = '', length] = text.split('/');
    const prefixLength = length === undefined ? uniquePrefixLength : Number(length);
    return cie({ protocolAddress: address(network), prefixLength });
  });
  return message(source, source, { type: 'purge-request', noReply, cies }, { requestId: newId() });
}

function speaker(record: NodeRecord, session: NodeSession): Speaker {
  const own = record.address;
  const answers: Speaker['answers'] = async (request) => {
    const before = session.received.length;
    session.say(request);
    // What changes the store is answered in order, and so is what does not: both ways are empty when these come back.
    const last = purge(own, ['192.0.2.0/24']);
    session.say(last);
    await session.takeNhrp('purge-reply', last.requestId);
    const also = ask(own, '192.0.2.1');
    session.say(also);
    await session.takeNhrp('resolution-reply', also.requestId);
    return session.received
      .slice(before)
      .flatMap((one) => (one.type === 'nhrp' && one.message.requestId === request.requestId ? [one.message] : []));
  };
  const answer: Speaker['answer'] = async (request, type) => {
    const all = await answers(request);
    assert.deepEqual(
      all.map(({ body }) => body.type),
      [type],
    );
    return all[0] as never;
  };
  const codes: Speaker['codes'] = async (request) => {
    const all = await answers(request);
    assert.equal(all.length, 1);
    const { body } = all[0] ?? request;
    assert.ok('cies' in body, `an answer with CIEs, not ${body.type}`);
    return body.cies.map(({ code }) => code);
  };
  return {
    record,
    session,
    address: own,
    answers,
    answer,
    codes,
    async register(key = record.name) {
      assert.deepEqual(await codes(enter(own, [multipoint(key, ['192.0.2.1:1000'])])), [0]);
      if (record.prefixes.length === 0) return;
      assert.ok((await codes(announce(own, record.prefixes))).every((code) => code === 0));
    },
  };
}

/** As `refused`, for a request that another replica would have to pass on, which takes its time. */
export async function refusedAcross(node: Speaker, request: NhrpMessage, code: number): Promise<void> {
  node.session.say(request);
  const error = await node.session.takeNhrp('error-indication', request.requestId);
  assert.equal(error.body.code, code);
  const all = node.session.received.filter((got) => got.type === 'nhrp' && got.message.requestId === request.requestId);
  assert.equal(all.length, 1);
}

/** The request gets one error indication with this code, and the store stays as it is. */
export async function refused(setting: Setting, node: Speaker, request: NhrpMessage, code: number): Promise<void> {
  const told = () => [[...setting.store.snapshot().nodes], [...setting.store.snapshot().bindings]];
  const before = told();
  const error: NhrpMessage<ErrorIndication> = await node.answer(request, 'error-indication');
  assert.equal(error.body.code, code);
  assert.deepEqual(told(), before);
}

export { address, cie, prefix };
