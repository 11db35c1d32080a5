import { status } from '@grpc/grpc-js';

/** The gRPC status codes that our services use, by name. */
export type RpcCode =
  | 'CANCELLED'
  | 'INVALID_ARGUMENT'
  | 'DEADLINE_EXCEEDED'
  | 'NOT_FOUND'
  | 'ALREADY_EXISTS'
  | 'PERMISSION_DENIED'
  | 'RESOURCE_EXHAUSTED'
  | 'FAILED_PRECONDITION'
  | 'UNIMPLEMENTED'
  | 'INTERNAL'
  | 'UNAVAILABLE'
  | 'UNAUTHENTICATED'
  | 'UNKNOWN';

/** Thrown by a handler to answer with a status, and by the client when the answer is one. */
export class RpcError extends Error {
  override readonly name = 'RpcError';
  readonly code: RpcCode;

  constructor(code: RpcCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The number on the wire (grpc/status.h). */
export function statusNumber(code: RpcCode): number {
  return status[code];
}

/** The name for a number on the wire; `UNKNOWN` for one that we do not use. */
export function statusName(code: number): RpcCode {
  return (status[code] as RpcCode | undefined) ?? 'UNKNOWN';
}
