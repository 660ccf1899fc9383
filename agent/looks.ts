// What steps want done at once, besides the desired state: a BFD packet, or a look whose result comes back as an event.
import { errorText } from '#proto/kit/errors.ts';
import type { Logger } from '#proto/kit/log.ts';
import type { Effect, Event } from './decide/event.ts';
import type { World } from './world.ts';

export interface LooksOptions {
  readonly world: Pick<World, 'kickBfd' | 'reconnect' | 'observePeers' | 'observeActivity'>;
  readonly post: (event: Event) => void;
  readonly logger: Logger;
}

export interface Looks {
  readonly perform: (effects: readonly Effect[]) => void;
}

export function createLooks({ world, post, logger }: LooksOptions): Looks {
  /** One look at a thing at a time: a slow one is not made slower by others. */
  const underWay = new Set<string>();

  function look(what: string, reading: () => Promise<Event>): void {
    if (underWay.has(what)) return;
    underWay.add(what);
    reading()
      .then(post, (error: unknown) => {
        // The interface is being made or gone: the next look will tell.
        logger.debug({ error: errorText(error) }, 'look failed');
      })
      .finally(() => {
        underWay.delete(what);
      });
  }

  return {
    perform(effects) {
      for (const effect of effects) {
        if (effect.kind === 'kick') world.kickBfd(effect.path);
        if (effect.kind === 'reconnect') world.reconnect();
        if (effect.kind === 'inspect-peers') {
          const name = effect.interface;
          look(name, async () => ({ kind: 'peers', interface: name, peers: await world.observePeers(name) }));
        }
        if (effect.kind === 'inspect-activity') {
          look('activity', async () => ({ kind: 'activity', addresses: await world.observeActivity() }));
        }
      }
    },
  };
}
