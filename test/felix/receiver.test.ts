import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseAddress } from '#datastore/address.ts';
import { readChange, StreamError } from '#felix/policy/decode.ts';
import type { ProgramSink } from '#felix/policy/program.ts';
import { Programs } from '#felix/policy/programs.ts';
import { PolicyReceiver, type PolicySource } from '#felix/policy/receiver.ts';
import { margay } from '#proto/generated/policy.js';
import { waitFor } from '#test/helpers/wait.ts';
import { SILENT } from './world.ts';

type Update = margay.policy.v1.IUpdate;
const { INGRESS } = margay.policy.v1.Direction;
const bytes = (...numbers: number[]): Uint8Array => Uint8Array.from(numbers);
const classBytes = (n: number): Uint8Array => new Uint8Array(16).fill(n);
const className = (n: number): string => Buffer.from(classBytes(n)).toString('hex');

/** Notes what it is told. */
class Recorder implements ProgramSink {
  readonly said: string[] = [];
  endpoint(pod: string, program: unknown): void {
    this.said.push(`endpoint ${pod} ${program === undefined ? 'gone' : 'there'}`);
  }
  entry(direction: string, id: string, pod: string, verdicts?: { text: string }): void {
    this.said.push(`entry ${direction} ${id.slice(0, 2)} ${pod} ${verdicts?.text ?? 'gone'}`);
  }
  address(direction: string, _address: unknown, id: string | undefined): void {
    this.said.push(`address ${direction} ${id?.slice(0, 2) ?? 'gone'}`);
  }
  blocks(direction: string, family: number, ranges: readonly unknown[]): void {
    this.said.push(`blocks ${direction}${family} ${ranges.length}`);
  }
  commit(): void {
    this.said.push('commit');
  }
}

const endpoint = (pod: string): margay.policy.v1.IEndpoint => ({
  pod,
  uid: 'u',
  ingress: { isolated: true },
  egress: { isolated: false },
});
const entry = (n: number, pod: string, port: number): margay.policy.v1.IEntry => ({
  direction: INGRESS,
  class: classBytes(n),
  pod,
  accept: { tcp: [port, port] },
});
const members = (n: number, last: number): margay.policy.v1.IMembers => ({
  direction: INGRESS,
  class: classBytes(n),
  ipv4: bytes(10, 0, 0, last),
});

describe('a snapshot', () => {
  const first: Update = {
    snapshot: true,
    endpoints: [endpoint('a/x'), endpoint('a/y')],
    entries: [entry(1, 'a/x', 80), entry(2, 'a/y', 81)],
    members: [members(1, 1), members(2, 2)],
    blocks: [
      { direction: INGRESS, family: 4, ranges: bytes(192, 0, 2, 0, 192, 0, 2, 9), classes: classBytes(1) },
    ],
    commit: { number: 1 },
  };

  test('is compared with what there is: what it does not tell goes, what it tells again stays untouched', () => {
    const recorder = new Recorder();
    const programs = new Programs(recorder);
    readChange({ updates: [first], snapshot: true })(programs);
    recorder.said.length = 0;
    readChange({
      updates: [
        {
          snapshot: true,
          endpoints: [endpoint('a/x')],
          entries: [entry(1, 'a/x', 80)],
          members: [members(1, 1)],
          commit: { number: 1 },
        },
      ],
      snapshot: true,
    })(programs);
    expect(recorder.said).toEqual([
      'endpoint a/x there',
      'endpoint a/y gone',
      'entry ingress 02 a/y gone',
      'address ingress gone',
      'blocks ingress4 0',
      'commit',
    ]);
    expect([...programs.endpoints.keys()]).toEqual(['a/x']);
    expect(programs.lookUp('ingress', 'a/x', parseAddress('10.0.0.1')!, 'TCP', 80)).toBe('accept');
    expect(programs.lookUp('ingress', 'a/x', parseAddress('10.0.0.2')!, 'TCP', 80)).toBe('drop');
    expect(programs.lookUp('ingress', 'a/y', parseAddress('10.0.0.2')!, 'TCP', 81)).toBe('drop');
  });

  test('a list of blocks goes on in the next part', () => {
    const recorder = new Recorder();
    const programs = new Programs(recorder);
    const block = (from: number, continued: boolean): margay.policy.v1.IBlocks => ({
      direction: INGRESS,
      family: 4,
      ranges: bytes(10, 0, from, 0, 10, 0, from, 9),
      classes: classBytes(3),
      continued,
    });
    readChange({
      updates: [
        { snapshot: true, blocks: [block(1, false)] },
        { blocks: [block(2, true)], commit: {} },
      ],
      snapshot: true,
    })(programs);
    expect(programs.ingress.blocks[4].map((range) => range.class)).toEqual([className(3), className(3)]);
  });

  test.each<[string, Update, RegExp]>([
    ['a pod without a namespace', { endpoints: [endpoint('x')] }, /pod: found 'x', expected namespace\/name/],
    [
      'a class that is cut short',
      { members: [{ ...members(1, 1), class: bytes(1) }] },
      /class: found 1 bytes, expected 16/,
    ],
    [
      'no direction',
      { entries: [{ class: classBytes(1), pod: 'a/x' }] },
      /direction: found .*, expected INGRESS or EGRESS/,
    ],
    [
      'half an address',
      { members: [{ direction: INGRESS, class: classBytes(1), ipv4: bytes(1, 2, 3) }] },
      /addresses: found 3 bytes/,
    ],
    [
      'half a range of ports',
      { entries: [{ ...entry(1, 'a/x', 1), accept: { tcp: [1] } }] },
      /ports: found 1 numbers/,
    ],
    [
      'a range of ports that ends before it begins',
      { entries: [{ ...entry(1, 'a/x', 1), accept: { tcp: [2, 1] } }] },
      /ports: found 2-1/,
    ],
    ['a family that is none', { blocks: [{ direction: INGRESS, family: 5 }] }, /blocks.family: found 5/],
    [
      'ranges out of order',
      {
        blocks: [
          { direction: INGRESS, family: 4, ranges: bytes(2, 0, 0, 0, 1, 0, 0, 0), classes: classBytes(1) },
        ],
      },
      /out of order/,
    ],
    [
      'ranges without classes',
      { blocks: [{ direction: INGRESS, family: 4, ranges: bytes(1, 0, 0, 0, 2, 0, 0, 0) }] },
      /blocks.classes/,
    ],
  ])('with %s is refused whole', (_what, update, text) => {
    const recorder = new Recorder();
    const updates = [first, { ...update, commit: {} }];
    expect(() => readChange({ updates, snapshot: true })).toThrow(StreamError);
    expect(() => readChange({ updates, snapshot: true })).toThrow(text);
    expect(recorder.said).toEqual([]);
  });

  test('of whatever bytes ends in programs or in an error that says what is wrong', () => {
    const { Update: Message } = margay.policy.v1;
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(1000), (noise, at) => {
        const sound = Message.encode(first).finish();
        const broken = Uint8Array.from(sound);
        noise.forEach((byte, i) => {
          if (i < 4) broken[(at + i * 7) % broken.length] = byte;
        });
        let update: Update;
        try {
          update = Message.decode(broken);
        } catch {
          return;
        }
        try {
          readChange({ updates: [update], snapshot: true })(new Programs(new Recorder()));
        } catch (error) {
          expect(error).toBeInstanceOf(StreamError);
        }
      }),
    );
  });
});

describe('the receiver', () => {
  test('connects again for ever, applies only what is complete, and keeps what is in force meanwhile', async () => {
    const recorder = new Recorder();
    const programs = new Programs(recorder);
    const stop = new AbortController();
    let connections = 0;
    const source: PolicySource = {
      async *watch() {
        connections++;
        if (connections % 3 === 1) throw new Error('nobody is there');
        yield { snapshot: true, endpoints: [endpoint('a/x')], commit: { number: 1 } };
        // A change that breaks off in the middle.
        yield { removedEndpoints: ['a/x'] };
        if (connections % 3 === 2) throw new Error('cut');
      },
    };
    const receiver = new PolicyReceiver({ source, node: 'n1', programs, log: SILENT, random: () => 0 });
    const running = receiver.run(stop.signal);
    await waitFor(() => connections > 6, { what: 'seven connections' });
    expect(programs.endpoints.has('a/x')).toBe(true);
    expect(recorder.said).not.toContain('endpoint a/x gone');
    expect(receiver.status).toMatchObject({ connected: false });
    expect(receiver.status.inSyncSince).toBeGreaterThan(0);
    stop.abort();
    await running;
  });

  test('does not gather a change without end, nor comes back at once to an engine that it can not read', async () => {
    const programs = new Programs(new Recorder());
    const stop = new AbortController();
    const at: number[] = [];
    const source: PolicySource = {
      async *watch() {
        at.push(performance.now());
        yield { snapshot: true, endpoints: [endpoint('a/x')], commit: { number: 1 } };
        for (;;) yield { removedEndpoints: ['a/x'] };
      },
    };
    const receiver = new PolicyReceiver({ source, node: 'n1', programs, log: SILENT, random: () => 0 });
    const running = receiver.run(stop.signal);
    await waitFor(() => at.length > 4, { what: 'five connections' });
    stop.abort();
    await running;
    expect(receiver.status.lastError).toMatch(/parts of a change: found more than/);
    expect(programs.endpoints.has('a/x')).toBe(true);
    // 25, 50, 100 and 200 ms at least.
    expect(at[4]! - at[3]!).toBeGreaterThan(190);
  });

  test('does not take a change for everything', async () => {
    const programs = new Programs(new Recorder());
    const stop = new AbortController();
    const source: PolicySource = {
      async *watch() {
        yield { endpoints: [endpoint('a/x')], commit: { number: 7 } };
      },
    };
    const receiver = new PolicyReceiver({ source, node: 'n1', programs, log: SILENT, random: () => 0 });
    const running = receiver.run(stop.signal);
    await waitFor(() => receiver.status.lastError, { what: 'the error' });
    expect(receiver.status.lastError).toMatch(/^policy stream: snapshot: /);
    expect(programs.endpoints.size).toBe(0);
    stop.abort();
    await running;
  });
});
