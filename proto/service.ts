/*
 * A gRPC service as data, from which both the typed server and the typed client are made. Written by hand because
 * protobufjs generates messages only, and services in a form that grpc-js does not take.
 */

/** What protobufjs generates for a message: `Properties` is what may be given, `Message` what is read. */
export interface MessageType<Properties, Message> {
  encode(message: Properties): { finish(): Uint8Array };
  decode(bytes: Uint8Array): Message;
}

/** What grpc-js takes as a method definition. */
export interface Definition<RequestIn, RequestOut, ReplyIn, ReplyOut> {
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly requestSerialize: (message: RequestIn) => Buffer;
  readonly requestDeserialize: (bytes: Buffer) => RequestOut;
  readonly responseSerialize: (message: ReplyIn) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => ReplyOut;
}

/** One method: its gRPC definition, and the types of what goes in and comes out on either side. */
export interface Method<RequestIn, RequestOut, ReplyIn, ReplyOut, Stream extends boolean> {
  readonly definition: Definition<RequestIn, RequestOut, ReplyIn, ReplyOut>;
  readonly stream: Stream;
}

// biome-ignore lint/suspicious/noExplicitAny: a service's methods have different types; they are inferred one by one
export type AnyMethod = Method<any, any, any, any, boolean>;
export type Service = Readonly<Record<string, AnyMethod>>;

/** A method with one reply. `path` is `/package.Service/Method`. */
export function unary<RequestIn, RequestOut, ReplyIn, ReplyOut>(
  path: string,
  request: MessageType<RequestIn, RequestOut>,
  reply: MessageType<ReplyIn, ReplyOut>,
): Method<RequestIn, RequestOut, ReplyIn, ReplyOut, false> {
  return { definition: define(path, request, reply, false), stream: false };
}

/** A method whose reply is a stream. */
export function serverStream<RequestIn, RequestOut, ReplyIn, ReplyOut>(
  path: string,
  request: MessageType<RequestIn, RequestOut>,
  reply: MessageType<ReplyIn, ReplyOut>,
): Method<RequestIn, RequestOut, ReplyIn, ReplyOut, true> {
  return { definition: define(path, request, reply, true), stream: true };
}

function define<RequestIn, RequestOut, ReplyIn, ReplyOut>(
  path: string,
  request: MessageType<RequestIn, RequestOut>,
  reply: MessageType<ReplyIn, ReplyOut>,
  responseStream: boolean,
): Definition<RequestIn, RequestOut, ReplyIn, ReplyOut> {
  return {
    path,
    requestStream: false,
    responseStream,
    requestSerialize: (message: RequestIn) => toBuffer(request.encode(message).finish()),
    requestDeserialize: (bytes: Buffer) => request.decode(bytes),
    responseSerialize: (message: ReplyIn) => toBuffer(reply.encode(message).finish()),
    responseDeserialize: (bytes: Buffer) => reply.decode(bytes),
  };
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
