import type { NodeId } from '#proto/model/names.ts';
import type { NhrpMessage, ResolutionRequest } from '#proto/model/nhrp.ts';
import { milliseconds } from '#proto/model/time.ts';
import { locate } from '#registry/decide/locate.ts';
import { answerAbout, type ResolutionOutcome, resolve } from '#registry/decide/resolve.ts';
import { introduced } from '#registry/decide/told.ts';
import type { Server } from '#registry/decide/transit.ts';
import type { Answers } from './answers.ts';
import type { RegistryContext } from './context.ts';
import { serverNamed } from './servers.ts';
import type { Session } from './session.ts';
import type { Sessions } from './sessions.ts';

export interface ResolutionsParts {
  readonly context: RegistryContext;
  readonly sessions: Sessions;
  readonly answers: Answers;
  readonly send: (session: Session, message: NhrpMessage) => void;
}

/** Answers Resolution Requests of sessions, and hands them on to the nodes that are asked for. */
export class Resolutions {
  readonly #context: RegistryContext;
  readonly #sessions: Sessions;
  readonly #answers: Answers;
  readonly #send: ResolutionsParts['send'];

  constructor({ context, sessions, answers, send }: ResolutionsParts) {
    this.#context = context;
    this.#sessions = sessions;
    this.#answers = answers;
    this.#send = send;
  }

  /** Waits only for the round trip to a node whose session is at another replica. */
  async answer(session: Session, request: NhrpMessage<ResolutionRequest>): Promise<void> {
    const { store, clock } = this.#context;
    const asked = { now: clock.held(), server: serverNamed(this.#context) };
    let snapshot = store.snapshot();
    let node = snapshot.nodes.get(session.node);
    if (!node) return;
    const target = locate(snapshot, node, request, asked);
    if (target.kind === 'refusal') {
      this.#send(session, target.reply);
      return;
    }
    const about = target.node.id;
    const askerRtt = session.meter.rtt ?? milliseconds(0);
    const targetRtt = this.#sessions.measureHere(about);
    const via = targetRtt === undefined ? this.#via(about) : undefined;
    if (!via) {
      this.#say(session, answerAbout(snapshot, node, request, { ...asked, target, askerRtt, targetRtt }));
      return;
    }
    const context = { ...asked, askerRtt, targetRtt: await this.#sessions.measure(about), via, now: clock.held() };
    snapshot = store.snapshot();
    node = snapshot.nodes.get(session.node);
    if (node) this.#say(session, resolve(snapshot, node, request, context));
  }

  #say(session: Session, { reply, told, forward }: ResolutionOutcome): void {
    if (told) this.#answers.remember(session.node, told);
    if (forward) {
      const { to, message } = forward;
      void this.#sessions.deliver(to, message).then((delivery) => {
        if (delivery === 'here') this.introduced(to, message);
      });
    }
    this.#send(session, reply);
  }

  /** The node that was asked for learned of the asker. */
  introduced(to: NodeId, message: NhrpMessage): void {
    const told = introduced(message);
    if (told) this.#answers.introduce(to, told.prefix, told.about);
  }

  /** The other replica by which a message goes to a node. */
  #via(node: NodeId): Server | undefined {
    const replica = this.#sessions.elsewhere(node);
    return replica === undefined ? undefined : serverNamed(this.#context, replica);
  }
}
