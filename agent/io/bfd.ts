// The shell around the BFD machines of agent/decide/bfd.ts: sockets, clock and one timer for all sessions. Nothing here
// throws for what the network does: errors of sending are counted.
import { bfdAdminDown, bfdConfigure, bfdKick, bfdReceive, bfdStart, type BfdStep, bfdTick } from '#agent/decide/bfd.ts';
import { decodeBfdPacket, encodeBfdPacket } from '#agent/decide/bfd-packet.ts';
import type { Clock } from '#proto/kit/clock.ts';
import type { Logger } from '#proto/kit/log.ts';
import type { Address } from '#proto/model/address.ts';
import type { Instant } from '#proto/model/time.ts';
import { openBfdLink, type OpenBfdLink } from './bfd-link.ts';
import type { Link, Path } from './bfd-path.ts';
import type { Bfd, BfdListener, BfdObservation, BfdSessionConfig } from './bfd-port.ts';
import { observationOf, parametersOf, sameParameters } from './bfd-values.ts';
import { Wakeups } from './bfd-wakeups.ts';
import { BfdTimer } from './bfd-timer.ts';

export interface BfdOptions {
  readonly logger: Logger;
  readonly clock: Clock;
  /** [0, 1). */
  readonly random: () => number;
  readonly openLink?: OpenBfdLink;
}

export function createBfd(options: BfdOptions): Bfd {
  return new BfdShell(options);
}

/** Packets that leave before they are due, at a time. */
const mostEarly = 16;

class BfdShell implements Bfd {
  readonly #options: BfdOptions;
  readonly #paths = new Map<string, Path>();
  readonly #byDiscriminator = new Map<number, Path>();
  readonly #byEnds = new Map<string, Path>();
  readonly #links = new Map<Address, Link>();
  readonly #wakeups = new Wakeups<Path>();
  readonly #timer: BfdTimer;
  readonly #listeners = new Set<BfdListener>();

  constructor(options: BfdOptions) {
    this.#options = options;
    this.#timer = new BfdTimer(options.clock, () => {
      this.#runDue();
    });
  }

  setSessions(desired: ReadonlyMap<string, BfdSessionConfig>): void {
    for (const [id, path] of this.#paths) {
      const wanted = desired.get(id);
      if (!wanted || endsOf(wanted.local, wanted.remote) !== endsOf(path.config.local, path.config.remote)) {
        this.#stop(path);
      }
    }
    for (const { sockets } of this.#links.values()) sockets.retry();
    for (const [id, config] of desired) {
      const path = this.#paths.get(id);
      if (!path) this.#start(id, config);
      else if (!sameParameters(path.session.parameters, config)) {
        this.#take(path, bfdConfigure(path.session, parametersOf(config)));
      }
    }
  }

  kick(pathId: string): void {
    const path = this.#paths.get(pathId);
    if (path) this.#take(path, bfdKick(path.session, this.#now(), this.#options.random()));
  }

  restart(pathId: string): void {
    const path = this.#paths.get(pathId);
    if (!path) return;
    const before = path.session;
    this.#byDiscriminator.delete(before.discriminator);
    const step = bfdStart(before.parameters, this.#now(), this.#freeDiscriminator(), this.#options.random());
    this.#byDiscriminator.set(step.session.discriminator, path);
    const transition =
      before.state === 'down' ? undefined : ({ from: before.state, to: 'down', diagnostic: 'none' } as const);
    this.#take(path, { ...step, transition });
  }

  sessions(): Map<string, BfdObservation> {
    return new Map([...this.#paths].map(([id, path]) => [id, observationOf(path.session, path)]));
  }

  session(pathId: string): BfdObservation | undefined {
    const path = this.#paths.get(pathId);
    return path && observationOf(path.session, path);
  }

  onTransition(listener: BfdListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  close(): void {
    this.#listeners.clear();
    this.setSessions(new Map());
    this.#timer.close();
  }

  #start(id: string, config: BfdSessionConfig): void {
    const { random, clock } = this.#options;
    const link = this.#links.get(config.local) ?? this.#openLink(config.local);
    const step = bfdStart(parametersOf(config), this.#now(), this.#freeDiscriminator(), random());
    const path: Path = {
      id,
      config,
      link,
      session: step.session,
      mayAt: step.mayAt,
      since: clock.date(),
      sendErrors: 0,
      sent: (error) => {
        if (error) path.sendErrors++;
      },
      wakeAt: Infinity,
      slot: -1,
    };
    this.#paths.set(id, path);
    this.#byDiscriminator.set(step.session.discriminator, path);
    this.#byEnds.set(endsOf(config.local, config.remote), path);
    link.paths.add(path);
    this.#take(path, step);
  }

  #stop(path: Path): void {
    this.#send(path, bfdAdminDown(path.session, this.#now(), this.#options.random()));
    this.#wakeups.remove(path);
    this.#paths.delete(path.id);
    this.#byDiscriminator.delete(path.session.discriminator);
    const ends = endsOf(path.config.local, path.config.remote);
    if (this.#byEnds.get(ends) === path) this.#byEnds.delete(ends);
    path.link.paths.delete(path);
    if (path.link.paths.size > 0) return;
    this.#links.delete(path.config.local);
    path.link.sockets.close();
  }

  #openLink(local: Address): Link {
    const { logger, random, openLink = openBfdLink } = this.#options;
    const paths = new Set<Path>();
    let failedWith: string | undefined;
    const sockets = openLink(
      local,
      {
        onReady: () => {
          failedWith = undefined;
          for (const path of paths) this.kick(path.id);
        },
        onPacket: (bytes, from) => {
          this.#receive(local, bytes, from);
        },
        onBindError: (code) => {
          if (code === failedWith) return;
          failedWith = code;
          const level = code === 'EADDRNOTAVAIL' ? 'debug' : 'warn';
          logger[level]({ local, code }, 'bfd socket not bound, trying again');
        },
      },
      random,
    );
    const link = { sockets, paths };
    this.#links.set(local, link);
    return link;
  }

  /** Finds the session as RFC 5880 section 6.3 says; the source address is checked besides. */
  #receive(local: Address, bytes: Uint8Array, from: string): void {
    this.#timer.busy();
    const packet = decodeBfdPacket(bytes);
    if (!packet.ok) return;
    const { yourDiscriminator } = packet.value;
    const path =
      yourDiscriminator === 0 ? this.#byEnds.get(endsOf(local, from)) : this.#byDiscriminator.get(yourDiscriminator);
    if (!path || path.config.remote !== from || path.config.local !== local) return;
    const now = this.#now();
    this.#take(path, bfdReceive(path.session, packet.value, now, this.#options.random()));
    this.#sendEarly(now);
  }

  #runDue(): void {
    const now = this.#now();
    for (;;) {
      const path = this.#wakeups.first();
      if (!path || path.wakeAt > now) break;
      this.#tick(path, now);
    }
    this.#sendEarly(now);
    this.#timer.set(this.#wakeups.first()?.wakeAt ?? Infinity);
  }

  /**
   * Sends what may leave already: to wake up costs more than a packet. Never what is due, as that may be the end of a session
   * whose packets still wait in a socket.
   */
  #sendEarly(now: Instant): void {
    for (let count = 0; count < mostEarly; count++) {
      const path = this.#wakeups.first();
      if (!path || path.wakeAt <= now || path.mayAt > now) break;
      this.#tick(path, now);
    }
  }

  #tick(path: Path, now: Instant): void {
    this.#take(path, bfdTick(path.session, now, this.#options.random()));
  }

  #take(path: Path, step: BfdStep): void {
    path.session = step.session;
    path.mayAt = step.mayAt;
    this.#send(path, step);
    this.#wakeups.set(path, step.wakeAt);
    this.#timer.set(this.#wakeups.first()?.wakeAt ?? Infinity);
    if (!step.transition) return;
    const { from, to, diagnostic } = step.transition;
    path.since = this.#options.clock.date();
    this.#options.logger.info({ path: path.id, from, to, diagnostic }, 'bfd session changed');
    for (const listener of this.#listeners) listener(path.id, from, to, diagnostic);
  }

  #send(path: Path, step: BfdStep): void {
    for (const packet of step.send) path.link.sockets.send(encodeBfdPacket(packet), path.config.remote, path.sent);
  }

  #freeDiscriminator(): number {
    for (;;) {
      const discriminator = 1 + Math.floor(this.#options.random() * 0xffff_ffff);
      if (!this.#byDiscriminator.has(discriminator)) return discriminator;
    }
  }

  #now(): Instant {
    return this.#options.clock.now();
  }
}

function endsOf(local: string, remote: string): string {
  return `${local} ${remote}`;
}
