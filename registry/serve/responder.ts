import { version } from '#proto/kit/version.ts';
import { errorCode, type NhrpMessage } from '#proto/model/nhrp.ts';
import type { NodeMessage } from '#proto/model/session.ts';
import type { NodeId } from '#proto/model/names.ts';
import { errorAbout } from '#registry/decide/reply.ts';
import { relayed } from '#registry/decide/transit.ts';
import type { Answers } from './answers.ts';
import type { Complaints } from './complaints.ts';
import type { RegistryContext } from './context.ts';
import type { Damper } from './damper.ts';
import { Indications } from './indications.ts';
import type { Observations } from './observations.ts';
import { Queues } from './queues.ts';
import { Registrar } from './registrar.ts';
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
  readonly damper: Damper;
}

/** Answers what nodes say on their sessions. */
export class Responder {
  readonly #context: RegistryContext;
  readonly #sessions: Sessions;
  readonly #answers: Answers;
  readonly #observations: Observations;
  readonly #complaints: Complaints;
  readonly #registrar: Registrar;
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
    this.#registrar = new Registrar(parts.context, parts.damper, {
      send: (session, message) => {
        this.#send(session, message);
      },
      revived: () => {
        this.onRevived();
      },
    });
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
        await this.#queues.add(session, () => this.#registrar.register(session, { ...message, body }));
        break;
      case 'resolution-request':
        await this.#resolutions.answer(session, { ...message, body });
        break;
      case 'purge-request':
        await this.#queues.add(session, () => this.#registrar.purge(session, { ...message, body }));
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
