import { version } from '#proto/kit/version.ts';
import { cieCode, errorCode, type NhrpMessage, type RegistrationRequest } from '#proto/model/nhrp.ts';
import { ok } from '#proto/model/result.ts';
import type { NodeMessage } from '#proto/model/session.ts';
import type { NodeId } from '#proto/model/names.ts';
import { admit } from '#registry/decide/admit.ts';
import { purgeByNode } from '#registry/decide/purge.ts';
import { refuseAll, register, type RegistrationOutcome } from '#registry/decide/register.ts';
import { errorAbout } from '#registry/decide/reply.ts';
import { relayed } from '#registry/decide/transit.ts';
import type { Answers } from './answers.ts';
import { decideAndCommit } from './commit.ts';
import { type Complaints, refusalText } from './complaints.ts';
import type { RegistryContext } from './context.ts';
import { Indications } from './indications.ts';
import type { Observations } from './observations.ts';
import { Queues } from './queues.ts';
import { Resolutions } from './resolutions.ts';
import { serverNamed } from './servers.ts';
import type { Session } from './session.ts';
import type { Sessions } from './sessions.ts';
import { errorAboutUnreadable, type Unreadable } from './unreadable.ts';

type Of<T> = T extends NhrpMessage['body'] ? NhrpMessage<T> : never;
/** NHRP messages as a union that narrows by the type of their body. */
type AnyNhrp = Of<NhrpMessage['body']>;

export interface ResponderParts {
  readonly context: RegistryContext;
  readonly sessions: Sessions;
  readonly answers: Answers;
  readonly observations: Observations;
  readonly complaints: Complaints;
}

/** Answers what nodes say on their sessions. */
export class Responder {
  readonly #context: RegistryContext;
  readonly #sessions: Sessions;
  readonly #answers: Answers;
  readonly #observations: Observations;
  readonly #complaints: Complaints;
  readonly #queues: Queues;
  readonly #indications: Indications;
  readonly #resolutions: Resolutions;
  /** Called when a registration came back that only has to be held again. */
  onRevived: () => void = () => undefined;

  constructor(parts: ResponderParts) {
    this.#context = parts.context;
    this.#queues = new Queues(parts.context.log);
    this.#sessions = parts.sessions;
    this.#answers = parts.answers;
    this.#observations = parts.observations;
    this.#complaints = parts.complaints;
    this.#indications = new Indications(parts.context, parts.sessions);
    this.#resolutions = new Resolutions({ ...parts, send: this.#send.bind(this) });
  }

  /** Resolves when the message is dealt with. */
  async receive(session: Session, message: NodeMessage): Promise<void> {
    if (message.type === 'hello') {
      if (session.greeted) session.goodbye('protocol-error', 'a second Hello');
      else this.#sessions.greet(session, message.agentVersion, version);
      return;
    }
    if (!session.greeted) {
      session.goodbye('protocol-error', 'the first message of a session is Hello');
      return;
    }
    switch (message.type) {
      case 'pong':
        session.meter.pong(message.id, this.#context.clock.now());
        break;
      case 'observed-endpoints':
        this.#observations.report(session.node, message.endpoints);
        break;
      case 'nhrp':
        this.#sessions.note('received', session, message.message);
        await this.#nhrp(session, message.message as AnyNhrp);
        break;
    }
  }

  /** An NHRP message that cannot be read. Never an error about an error (RFC 2332 5.2.7). */
  unreadable(session: Session, message: Unreadable, detail: string): void {
    const node = this.#context.store.snapshot().nodes.get(session.node);
    if (!node || !session.greeted) return;
    if (message.isError) {
      this.#complaints.dropped(node.name, 'an unreadable error indication');
      return;
    }
    this.#send(session, errorAboutUnreadable(node, message, serverNamed(this.#context)), detail);
  }

  /** A message of another replica for a node here. Returns whether it went on to the node. */
  relay(to: NodeId, message: NhrpMessage): boolean {
    const onward = relayed(message, serverNamed(this.#context));
    if (typeof onward === 'number') {
      this.#complaints.dropped(message.source, `a message to be relayed: error ${String(onward)}`);
      return false;
    }
    const delivered = this.#sessions.deliverHere(to, onward);
    if (delivered) this.#resolutions.introduced(to, onward);
    return delivered;
  }

  /** The session is over. */
  forget(session: Session): void {
    this.#queues.forget(session);
    if (this.#sessions.open.has(session.node)) return;
    this.#observations.forget(session.node);
    this.#answers.forget(session.node);
  }

  async #nhrp(session: Session, message: AnyNhrp): Promise<void> {
    const { body } = message;
    switch (body.type) {
      case 'registration-request':
        await this.#queues.add(session, () => this.#register(session, { ...message, body }));
        break;
      case 'resolution-request':
        await this.#resolutions.answer(session, { ...message, body });
        break;
      case 'purge-request':
        await this.#queues.add(session, () => this.#purge(session, { ...message, body }));
        break;
      case 'purge-reply':
        this.#answers.acknowledge(session.node, message.requestId);
        break;
      case 'traffic-indication': {
        const error = this.#indications.take(session, { ...message, body }, serverNamed(this.#context));
        if (error !== undefined) this.#refuse(session, message, error);
        break;
      }
      case 'resolution-reply':
        // RFC 2332 5.2.7: a reply that nobody asked for.
        this.#refuse(session, message, errorCode.invalidReply);
        break;
      case 'registration-reply':
        this.#refuse(session, message, errorCode.protocolError);
        break;
      case 'error-indication':
        this.#context.log.info({ node: session.node, code: body.code }, 'node indicated an error');
        break;
    }
  }

  async #register(session: Session, request: NhrpMessage<RegistrationRequest>): Promise<void> {
    const { store, clock, events } = this.#context;
    const context = { now: clock.date(), agentVersion: session.agentVersion, server: serverNamed(this.#context) };
    const known = store.snapshot().bindings.get(session.node);
    const outcome = await decideAndCommit<RegistrationOutcome>(store, (snapshot) => {
      const node = admit(snapshot, session.node);
      if (!node.ok) return node;
      const decision = register(snapshot, node.value, request, context);
      // What only has to be held again is served from the snapshot, and written by the sweeper when etcd is there.
      return ok(decision.revived === true ? { ...decision, transaction: undefined } : decision);
    });
    if (!outcome.ok) {
      this.#context.log.warn({ node: session.node, fault: outcome.fault.code }, 'registration is not stored');
      this.#send(session, refuseAll(request, cieCode.noResources, context.server).reply);
      return;
    }
    const { reply, transaction } = outcome.value;
    const refused = reply.body.type !== 'registration-reply' || reply.body.cies.some((one) => one.code !== cieCode.ok);
    const name = store.snapshot().nodes.get(session.node)?.name ?? session.node;
    if (!refused) session.registered = true;
    if (refused) events.add('node.refused', name, refusalText(reply.body));
    else if (transaction) events.add(known ? 'node.changed' : 'node.registered', name);
    this.#send(session, reply);
    if (outcome.value.revived === true) this.onRevived();
  }

  async #purge(
    session: Session,
    request: NhrpMessage<Extract<NhrpMessage['body'], { type: 'purge-request' }>>,
  ): Promise<void> {
    const outcome = await decideAndCommit(this.#context.store, (snapshot) => {
      const node = admit(snapshot, session.node);
      if (!node.ok) return node;
      const decision = purgeByNode(snapshot, node.value, request, serverNamed(this.#context));
      // It is not to register again by itself.
      if (decision.transaction?.delete.some(({ kind }) => kind === 'binding')) session.registered = false;
      return ok(decision);
    });
    // Without a reply the node repeats it.
    if (outcome.ok && outcome.value.reply) this.#send(session, outcome.value.reply);
  }

  #refuse(session: Session, offender: NhrpMessage, code: number): void {
    const sender = this.#context.store.snapshot().nodes.get(session.node);
    this.#send(session, errorAbout(offender, code, { server: serverNamed(this.#context), sender }));
  }

  #send(session: Session, message: NhrpMessage, detail?: string): void {
    const { nodes } = this.#context.store.snapshot();
    this.#complaints.about(nodes.get(session.node)?.name ?? session.node, message, detail);
    this.#sessions.send(session, message);
  }
}
