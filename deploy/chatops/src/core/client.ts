// The Approvals service, as anybody outside may use it. Each call carries its own token: the bot's, or for the one
// call of a person's own login, that person's.
import { readFileSync } from 'node:fs';

import grpc from '@grpc/grpc-js';

import { loadApprovals, type ApprovalEvent, type ChatAccount, type DecideRequest, type HeldOperation,
  type WatchRequest } from './api.js';
import type { TokenSource } from './tokens.js';

export interface Endpoint {
  address: string;      // "controlplane.example:7443"
  ca_file?: string;     // PEM; the system's own where it is absent
  server_name?: string; // in its certificate, where that is not the address
  insecure: boolean;    // without TLS; on this machine only
}

const DEADLINE_MS = 10_000;
const KEEPALIVE_MS = 20_000; // a peer that vanished without a word is noticed within this and the next
const KEEPALIVE_TIMEOUT_MS = 10_000;
const LARGEST_MESSAGE = 16 << 20;

type Unary = (request: object, metadata: grpc.Metadata, options: grpc.CallOptions,
  done: (error: grpc.ServiceError | null, reply: unknown) => void) => grpc.ClientUnaryCall;
type Streaming = (request: object, metadata: grpc.Metadata) => grpc.ClientReadableStream<ApprovalEvent>;

export function isServiceError(error: unknown): error is grpc.ServiceError {
  return error instanceof Error && 'code' in error && typeof error.code === 'number' && 'details' in error;
}

function isLocal(address: string): boolean {
  return /^(?:unix:|(?:ipv4:)?127\.|localhost:|(?:ipv6:)?\[::1\])/.test(address);
}

function credentialsOf(endpoint: Endpoint): grpc.ChannelCredentials {
  if (!endpoint.insecure)
    return grpc.credentials.createSsl(endpoint.ca_file === undefined ? null : readFileSync(endpoint.ca_file));
  if (!isLocal(endpoint.address)) throw new Error(`${endpoint.address} is not on this machine: TLS is needed`);
  return grpc.credentials.createInsecure();
}

export class Approvals {
  private readonly stub: grpc.Client;

  constructor(endpoint: Endpoint, private readonly tokens: TokenSource) {
    this.stub = new (loadApprovals())(endpoint.address, credentialsOf(endpoint), {
      'grpc.keepalive_time_ms': KEEPALIVE_MS,
      'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
      'grpc.max_receive_message_length': LARGEST_MESSAGE,
      'grpc.max_reconnect_backoff_ms': 10_000,
      ...(endpoint.server_name === undefined ? {} : {
        'grpc.ssl_target_name_override': endpoint.server_name,
        'grpc.default_authority': endpoint.server_name,
      }),
    });
  }

  close(): void {
    this.stub.close();
  }

  isReady(): boolean {
    return this.stub.getChannel().getConnectivityState(false) === grpc.connectivityState.READY;
  }

  // True while nothing was ever held.
  async isEmpty(): Promise<boolean> {
    const { approvals } = await this.call('List', { include_ended: true, limit: 1 }) as { approvals: HeldOperation[] };
    return approvals.length === 0;
  }

  async get(id: string): Promise<HeldOperation> {
    return await this.call('Get', { id }) as HeldOperation;
  }

  // `token` absent: as the bot.
  async decide(request: DecideRequest, token?: string): Promise<HeldOperation> {
    const { approval } = await this.call('Decide', request, token) as { approval: HeldOperation | null };
    if (approval === null) throw new Error('the answer has no approval');
    return approval;
  }

  async createLinkCode(account: ChatAccount, deadline_ms: number): Promise<{ code: string; expires_unix_ns: string }> {
    return await this.call('CreateLinkCode', { account }, undefined, deadline_ms) as
      { code: string; expires_unix_ns: string };
  }

  // Until `signal`, or the error that ended it. `on_open` is told when the server has taken the call.
  async *watch(request: WatchRequest, signal: AbortSignal, on_open: () => void): AsyncGenerator<ApprovalEvent> {
    const metadata = await this.authorize();
    const start = (this.stub as unknown as Record<string, Streaming>)['Watch'] as Streaming;
    const call = start.call(this.stub, request, metadata);
    const cancel = (): void => call.cancel();
    call.once('metadata', on_open);
    signal.addEventListener('abort', cancel, { once: true });
    if (signal.aborted) cancel();
    try {
      for await (const event of call) yield event as ApprovalEvent;
    } catch (error) {
      this.noticeToken(error);
      if (!signal.aborted) throw error;
    } finally {
      signal.removeEventListener('abort', cancel);
      call.cancel();
    }
  }

  private async call(method: string, request: object, token?: string, deadline_ms = DEADLINE_MS): Promise<unknown> {
    const metadata = await this.authorize(token);
    const unary = (this.stub as unknown as Record<string, Unary>)[method] as Unary;
    try {
      return await new Promise((done, fail) => {
        unary.call(this.stub, request, metadata, { deadline: Date.now() + deadline_ms },
          (error, reply) => (error === null ? done(reply) : fail(error)));
      });
    } catch (error) {
      if (token === undefined) this.noticeToken(error);
      throw error;
    }
  }

  private async authorize(token?: string): Promise<grpc.Metadata> {
    const metadata = new grpc.Metadata();
    metadata.set('authorization', `Bearer ${token ?? await this.tokens.get()}`);
    return metadata;
  }

  private noticeToken(error: unknown): void {
    if (isServiceError(error) && error.code === grpc.status.UNAUTHENTICATED) this.tokens.reject();
  }
}
