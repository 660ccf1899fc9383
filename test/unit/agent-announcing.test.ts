// How a long list of announcements is told: as a whole once, then by what changes.
import assert from 'node:assert/strict';
import test from 'node:test';
import { cieCode, type NhrpMessage } from '#proto/model/nhrp.ts';
import { defaultRouting } from '#proto/model/routing.ts';
import { config, prefix, Story } from '#test/support/agent-story.ts';

const numbered = (count: number): string[] => Array.from({ length: count }, (_, index) => `10.1.${String(index)}.0/24`);

class Router extends Story {
  /** What the LAN's routing daemon has put into the kernel. */
  lan(texts: readonly string[]): void {
    const route = { protocol: 188, table: 254, interfaces: ['eth1'], metric: 20 };
    this.tell({ kind: 'kernel-routes', routes: texts.map((text) => ({ ...route, prefix: prefix(text) })) });
  }

  /** What was said of prefixes since the last call: "all 30", "+10.1.2.0/24", "-10.1.2.0/24". */
  said(): { readonly text: string; readonly message: NhrpMessage }[] {
    return this.effects('send').flatMap(({ message }) => {
      if (message.type !== 'nhrp') return [];
      const { body } = message.message;
      if (body.type !== 'purge-request' && body.type !== 'registration-request') return [];
      if (body.type === 'registration-request' && body.unique) return [];
      const names = body.cies.map((cie) => `${String(cie.protocolAddress)}/${String(cie.prefixLength)}`).join(' ');
      const sign = body.type === 'purge-request' ? '-' : body.additive ? '+' : undefined;
      const text = sign === undefined ? `all ${String(body.cies.length)}` : `${sign}${names}`;
      return [{ text, message: message.message }];
    });
  }

  /** The same, answered. */
  settled(code: number = cieCode.ok): string {
    const said = this.said();
    for (const { message } of said) this.answer(message, code);
    return said.map(({ text }) => text).join(', ');
  }

  answer({ requestId, source, body }: NhrpMessage, code: number = cieCode.ok): void {
    if (body.type === 'purge-request') {
      this.hear({ ...body, type: 'purge-reply' }, { requestId, source });
    } else if (body.type === 'registration-request') {
      const cies = body.cies.map((cie) => ({ ...cie, code }));
      const reply = { type: 'registration-reply', unique: body.unique, cies, observedEndpoint: undefined } as const;
      this.hear(reply, { requestId, source });
    }
  }

  answerAddresses(): void {
    for (const { message } of this.effects('send')) if (message.type === 'nhrp') this.answer(message.message);
  }
}

/** It has told the registry of this many, and was answered. */
function router(count: number, takesAdditive = true): Router {
  const story = new Router('spoke');
  story.tell({ kind: 'connected', endpoint: 'registry:7443' });
  const rule = {
    protocol: 188,
    table: 254,
    interfaces: [],
    prefixes: [],
    except: [],
    metric: undefined,
    preference: 0,
  };
  story.tell({ kind: 'configured', routing: { ...defaultRouting, import: [rule] }, exit: undefined });
  story.state = { ...story.state, self: { ...story.state.self, prefixes: [] } };
  story.tell({ kind: 'message', message: { type: 'overlay-config', config: { ...config, takesAdditive } } });
  story.tell({
    kind: 'message',
    message: { type: 'route-sync', snapshot: true, upsert: [], remove: [], complete: true },
  });
  story.answerAddresses();
  story.lan(numbered(count));
  story.answerAddresses();
  return story;
}

test('of a long list what comes and goes is said, and nothing else', () => {
  const story = router(100);
  story.lan(numbered(101));
  assert.equal(story.settled(), '+10.1.100.0/24');
  story.lan(numbered(101).slice(2));
  assert.equal(story.settled(), '-10.1.0.0/24 10.1.1.0/24');
  story.lan([...numbered(99).slice(2), '10.2.0.0/16']);
  assert.equal(story.settled(), '-10.1.99.0/24 10.1.100.0/24, +10.2.0.0/16');
  assert.equal(story.state.registration.pending.size, 0);
  story.wait(10_000);
  assert.equal(story.settled(), '', 'that was all');
});

test('a short list, and one for a registry of old, is said as a whole', () => {
  const short = router(16);
  short.lan(numbered(15));
  assert.equal(short.settled(), 'all 15');
  const old = router(100, false);
  old.lan(numbered(101));
  assert.equal(old.settled(), 'all 101');
});

test('what would take something else away is said as a whole', () => {
  const story = router(100);
  story.lan([...numbered(100), '10.1.0.0/16']);
  assert.equal(story.settled(), '+10.1.0.0/16');
  story.lan(numbered(100));
  assert.equal(story.settled(), 'all 100', 'a purge of 10.1.0.0/16 would be of all');
  const own = router(100);
  own.lan([...numbered(100), '10.9.0.0/24']);
  assert.equal(own.settled(), '', 'a summary is not announced');
});

test('after what was not answered or not taken the whole list is said', () => {
  const story = router(100);
  story.lan(numbered(99));
  const [lost] = story.said();
  assert.equal(lost?.text, '-10.1.99.0/24');
  story.lan(numbered(98));
  assert.equal(story.settled(), 'all 98', 'nobody knows whether the purge arrived');
  story.lan(numbered(97));
  assert.equal(story.said()[0]?.text, '-10.1.97.0/24');
  story.wait(1100);
  assert.equal(story.settled(), 'all 97', 'repeated');

  story.lan(numbered(99));
  const [refused] = story.said();
  assert.ok(refused);
  assert.equal(refused.text, '+10.1.97.0/24 10.1.98.0/24');
  story.answer(refused.message, cieCode.noResources);
  story.lan(numbered(96));
  assert.equal(story.settled(), 'all 96');
  story.lan(numbered(95));
  assert.equal(story.settled(), '-10.1.95.0/24', 'and all is well again');
});

test('a new session begins with the whole list', () => {
  const story = router(100);
  story.tell({ kind: 'connected', endpoint: 'registry:7443' });
  assert.equal(story.settled(), 'all 100');
});
