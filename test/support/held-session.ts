// An agent's session with a registry, in a process of its own: test/scenario/registry-liveness.test.ts forks it.
import { holdStream } from '#agent/io/session-stream.ts';
import { registryCredentials } from '#proto/kit/registry-credentials.ts';
import { Secret } from '#proto/kit/secret.ts';

/** What it is told first. */
export interface Identity {
  readonly endpoint: string;
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

process.once('message', ({ endpoint, ca, certificate, key }: Identity) => {
  const credentials = registryCredentials({ ca, certificate, key: new Secret(key) });
  const events = {
    onWelcome: () => process.send?.('welcome'),
    onPush: () => undefined,
    onUndecodable: () => undefined,
  };
  void holdStream({ endpoint, credentials, agentVersion: 'test' }, events, new AbortController().signal).then((end) =>
    process.send?.(end),
  );
});
