// RFC 2332 5.3: extensions.
import assert from 'node:assert/strict';
import { errorCode, type Extension } from '#proto/model/nhrp.ts';
import { readRecords, serverOf } from '#registry/decide/transit.ts';
import { message, multipoint, overlayRecord } from '#test/support/registry-fixtures.ts';
import { exempt, must, mustNot, section } from './requirement.ts';
import { ask, enter, newId, pairFor, purge, refused, settingFor, type Speaker } from './setting.ts';

const extension = (type: number, parts: Partial<Extension> = {}): Extension => ({
  type,
  compulsory: true,
  value: new Uint8Array(),
  ...parts,
});
/** As the codec gives it back. */
const plain = (extensions: readonly Extension[]) => extensions.map((one) => ({ ...one, value: [...one.value] }));
const one = serverOf(overlayRecord(), { id: 'replica-1' });
const two = serverOf(overlayRecord(), { id: 'replica-2' });
const namesIn = (extensions: readonly Extension[], type: number) =>
  readRecords(extensions.find((each) => each.type === type)?.value ?? Uint8Array.of(1));

const everyRequest = (a: Speaker) => [
  ask(a.address, '10.99.0.9'),
  enter(a.address, [multipoint('node-1')]),
  purge(a.address, ['192.0.2.0/24']),
];

export const extensions = [
  ...section(
    '5.3',
    must('An extension that the responder does not know and that is compulsory: error 1', async (t) => {
      const setting = await settingFor(t);
      const a = await setting.node(1);
      for (const request of everyRequest(a))
        await refused(setting, a, { ...request, extensions: [extension(0x1234)] }, errorCode.unrecognisedExtension);
    }),
    must('Extensions that are not compulsory come back in the reply, unchanged and in their order', async (t) => {
      const a = await (await settingFor(t)).node(1);
      const sent = [9, 0x1234, 9, 7].map((type, at) =>
        extension(type, { compulsory: false, value: Buffer.from([at, 255]) }),
      );
      for (const request of everyRequest(a)) {
        const [reply] = await a.answers({ ...request, extensions: sent });
        assert.deepEqual(plain(reply?.extensions ?? []), plain(sent));
      }
    }),
    must('A server on the way forwards an unknown compulsory extension, and does not record itself', async (t) => {
      const setting = await settingFor(t);
      const hub = await setting.node(8, { role: 'hub' });
      const [a, b] = [await setting.node(1), await setting.node(2)];
      const sent = [extension(0x1234), extension(4)];
      const body = { type: 'traffic-indication', contents: new Uint8Array(20) } as const;
      hub.session.say(message(a.address, b.address, body, { requestId: newId(), extensions: sent }));
      assert.deepEqual(plain((await a.session.takeNhrp('traffic-indication')).extensions), plain(sent));
    }),
    must('A known extension whose value makes no sense: error 9', async (t) => {
      const setting = await settingFor(t);
      const a = await setting.node(1);
      const bad = extension(4, { value: Buffer.from([1, 2, 3]) });
      for (const request of everyRequest(a))
        await refused(setting, a, { ...request, extensions: [bad] }, errorCode.invalidExtension);
    }),
    mustNot('An error indication carries no extensions of the message that it is about', async (t) => {
      const a = await (await settingFor(t)).node(1);
      const wrong = { ...ask(a.address, '10.99.0.9'), hopCount: 0, extensions: [extension(9, { compulsory: false })] };
      assert.deepEqual((await a.answer(wrong, 'error-indication')).extensions, []);
    }),
  ),
  ...section(
    '5.3.1',
    must('Responder Address: in the reply it names who answered', async (t) => {
      const a = await (await settingFor(t)).node(1);
      for (const request of everyRequest(a)) {
        const [reply] = await a.answers({ ...request, extensions: [extension(3)] });
        assert.deepEqual(namesIn(reply?.extensions ?? [], 3), [one[4]]);
      }
    }),
    mustNot('Responder Address: a reply has none if the request had none', async (t) => {
      const a = await (await settingFor(t)).node(1);
      for (const request of everyRequest(a)) assert.deepEqual((await a.answers(request))[0]?.extensions, []);
    }),
  ),
  ...section(
    '5.3.2',
    must('Forward Transit NHS Record: each server that forwards the request adds itself', async (t) => {
      const pair = await pairFor(t);
      const [a, b] = [await pair.one.node(1), await pair.two.node(2)];
      for (const [source, destination, family] of [
        [a.address, b.address, 4],
        ['fd99::1', 'fd99::2', 6],
      ] as const) {
        const request = { ...ask(source, destination), extensions: [extension(4)] };
        a.session.say(request);
        const seen = await b.session.takeNhrp('resolution-request', request.requestId);
        assert.deepEqual(namesIn(seen.extensions, 4), [one[family], two[family]]);
      }
    }),
    mustNot('Forward Transit NHS Record: the server that answers does not add itself to the reply', async (t) => {
      const setting = await settingFor(t);
      const [a, b] = [await setting.node(1), await setting.node(2)];
      const reply = await a.answer({ ...ask(a.address, b.address), extensions: [extension(4)] }, 'resolution-reply');
      assert.deepEqual(namesIn(reply.extensions, 4), []);
    }),
    must('A server that finds itself in the record drops the message as a loop: error 3', async (t) => {
      const setting = await settingFor(t);
      const [a, b] = [await setting.node(1), await setting.node(2)];
      const signed = await a.answer({ ...ask(a.address, b.address), extensions: [extension(3)] }, 'resolution-reply');
      const value = signed.extensions[0]?.value ?? new Uint8Array();
      for (const type of [4, 5])
        await refused(
          setting,
          a,
          { ...ask(a.address, b.address), extensions: [extension(type, { value })] },
          errorCode.loop,
        );
    }),
  ),
  ...section(
    '5.3.3',
    must('Reverse Transit NHS Record: only servers on the way back add themselves, and there are none', async (t) => {
      const { one: here, two: there } = await pairFor(t);
      const [a, b] = [await here.node(1), await there.node(2)];
      const request = { ...ask(a.address, b.address), extensions: [extension(5)] };
      a.session.say(request);
      const reply = await a.session.takeNhrp('resolution-reply', request.requestId);
      assert.deepEqual(namesIn(reply.extensions, 5), []);
    }),
  ),
  ...section(
    '5.3.4',
    exempt(
      'MUST',
      'Authentication: messages carry a keyed digest, checked hop by hop',
      'Every hop is mutual TLS, and a source that is not that of the certificate gets error 11. The packet codec in proto/nhrp reads and writes the extension.',
    ),
  ),
  ...section(
    '5.3.5',
    must('Vendor-Private: who does not know it leaves it as it is', async (t) => {
      const a = await (await settingFor(t)).node(1);
      const sent = [extension(8, { compulsory: false, value: Buffer.from([0, 0, 12, 1, 2, 3]) })];
      const reply = await a.answer({ ...ask(a.address, '10.99.0.9'), extensions: sent }, 'resolution-reply');
      assert.deepEqual(plain(reply.extensions), plain(sent));
    }),
  ),
];
