// What api/approvals.proto says, as grpc-js hands it over: names as in the file, 64-bit numbers as decimal
// text, enums by name (a number where this bot does not know the name), bytes as Buffer.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';

export type ApprovalState =
  'APPROVAL_STATE_UNSPECIFIED' | 'WAITING' | 'APPROVED' | 'DENIED' | 'EXPIRED' | 'WITHDRAWN' | 'USED';

export interface Identity {
  issuer: string;
  subject: string;
  groups: string[];
  name: string;
  assurance: string;
}

export interface Delegate {
  subject: string;
  issuer: string;
  assurance: string;
  source: string;
}

export interface Stated {
  text: string;
  assurance: string;
  source: string;
}

export interface Parameter {
  type: string;
  value: Buffer;
  is_null: boolean;
  raw: boolean;
  size: string;
  truncated: boolean;
}

export interface HttpField {
  name: string;
  value: Buffer;
  masked: boolean;
}

export interface HttpRequest {
  method: string;
  scheme: string;
  authority: string;
  path: string;
  fields: HttpField[];
  body: Buffer;
  body_size: string;
  body_truncated: boolean;
  body_follows: boolean;
}

export interface Intent {
  rule: string;
  policy_hash: string;
  policy_revision: string;
  verb: string;
  commands: string[];
  objects: { kind: string; name: string; access: string; columns: string[] }[];
  text: Buffer;
  parameters: Parameter[];
  transaction: string;
  text_size: string;
  text_truncated: boolean;
  without_where: boolean;
  http: HttpRequest | null;
}

export interface HoldTerms {
  groups: string[];
  people: number;
  excludes_requester: boolean;
  needs_reason: boolean;
  is_retry: boolean;
  forbids_linked: boolean;
}

export interface Prediction {
  plan: string;
  estimated_rows: number;
  has_exact: boolean;
  exact_rows: string;
  unavailable: string;
}

export interface Decision {
  by: Identity | null;
  approve: boolean;
  reason: string;
  time_unix_ns: string;
  from: string;
  is_linked: boolean;
}

export interface HeldOperation {
  id: string;
  state: ApprovalState | number;
  version: string;
  sidecar: string;
  session: string;
  operation: string;
  identity: Identity | null;
  on_behalf_of: Delegate[];
  reasons: Stated[];
  resource: string;
  protocol: string;
  database: string;
  target_user: string;
  intent: Intent | null;
  terms: HoldTerms | null;
  prediction: Prediction | null;
  locks: string[];
  digest: Buffer;
  requested_unix_ns: string;
  expires_unix_ns: string;
  ended_unix_ns: string;
  end_reason: string;
  decisions: Decision[];
  standing: string;
}

export interface ApprovalEvent {
  cursor: string;
  approval: HeldOperation | null;
}

export interface ChatAccount {
  provider: string;
  account: string;
}

export interface DecideRequest {
  id: string;
  approve: boolean;
  reason: string;
  expect_version: string;
  idempotency_key: string;
  account?: ChatAccount;
}

export interface WatchRequest {
  after?: string;
  only_waiting?: boolean;
}

const ENDED: readonly unknown[] = ['DENIED', 'EXPIRED', 'WITHDRAWN', 'USED'];

// Nothing follows after these.
export function isEnded(state: HeldOperation['state']): boolean {
  return ENDED.includes(state);
}

// The folder that holds api/: the nearest one above this file, in a checkout as in the container.
function findProtoRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'api/approvals.proto'))) {
    const above = dirname(folder);
    if (above === folder) throw new Error('api/approvals.proto is in no folder above the program');
    folder = above;
  }
  return folder;
}

export function loadApprovals(): grpc.ServiceClientConstructor {
  const root = findProtoRoot();
  const definition = protoLoader.loadSync('api/approvals.proto', {
    keepCase: true, longs: String, enums: String, defaults: true, arrays: true, includeDirs: [root],
  });
  const loaded = grpc.loadPackageDefinition(definition) as unknown as
    { chaperone: { v1: { Approvals: grpc.ServiceClientConstructor } } };
  return loaded.chaperone.v1.Approvals;
}
