// SPDY/3.1 as Kubernetes' clients speak it: frames in any pieces, header blocks, streams and their ends, windows, and
// bytes that are none of that.

import ClusterIO
import ClusterProto
import Testing

@testable import Coordinator

/// Takes what a session sends, and reads it as the other side would.
final class TestSink: ByteSink {
  var pendingOutput = 0
  private(set) var bytes: [UInt8] = []

  func send(_ bytes: [UInt8]) { self.bytes += bytes }

  func takeFrames() throws -> [SPDYFrame] {
    var reader = SPDYReader()
    reader.append(bytes)
    bytes = []
    var frames: [SPDYFrame] = []
    while let frame = try reader.next() { frames.append(frame) }
    return frames
  }
}

/// A session with what it has told, and a client's compression.
private final class Bench {
  let sink = TestSink()
  let session: SPDYSession
  private let compressor: HeaderCompressor
  private(set) var told: [String] = []
  private(set) var data: [UInt32: [UInt8]] = [:]

  init() throws {
    session = try #require(SPDYSession(sink))
    compressor = try #require(HeaderCompressor())
    session.handler = SPDYSession.Handler(
      opened: { [unowned self] id, headers in
        told.append("opened \(id) \(headers.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" })")
        session.accept(id)
      },
      data: { [unowned self] id, bytes in data[id, default: []] += bytes },
      finished: { [unowned self] id in told.append("finished \(id)") },
      reset: { [unowned self] id in told.append("reset \(id)") },
      left: { [unowned self] in told.append("left") })
  }

  func block(_ headers: [(String, String)]) -> [UInt8] {
    compressor.compress(SPDYHeaders.block(headers.map { (name: $0.0, value: $0.1) }))
  }

  func open(_ id: UInt32, _ kind: String = "data", isLast: Bool = false) throws {
    let block = block([("streamtype", kind)])
    try say(.synStream(stream: id, block: block, isLast: isLast, isUnidirectional: false))
  }

  func say(_ frame: SPDYFrame) throws { try session.receive(frame.bytes) }

  /// Of the frames that the session has sent, the ends and bytes of data.
  func sent(_ id: UInt32) throws -> (bytes: Int, isOver: Bool) {
    var result = (bytes: 0, isOver: false)
    for case .data(let stream, let bytes, let isLast) in try sink.takeFrames() where stream == id {
      result.bytes += bytes.count
      result.isOver = result.isOver || isLast
    }
    return result
  }
}

@Suite("SPDY")
struct SPDYTests {
  private static let frames: [SPDYFrame] = [
    .data(stream: 1, bytes: [], isLast: true), .data(stream: 0x7FFF_FFFF, bytes: Array(0...255), isLast: false),
    .synStream(stream: 3, block: [1, 2, 3], isLast: true, isUnidirectional: true),
    .synStream(stream: 5, block: [], isLast: false, isUnidirectional: false),
    .synReply(stream: 3, block: [9], isLast: false), .reset(stream: 7, status: 5), .settings(initialWindow: nil),
    .settings(initialWindow: 70_000), .ping(11), .goAway(lastStream: 9, status: 0),
    .headers(stream: 3, block: [4], isLast: true), .windowUpdate(stream: 0, delta: 65_536),
  ]

  @Test("every frame is read as it was written, however its bytes are cut")
  func frames() throws {
    let bytes = Self.frames.flatMap(\.bytes)
    for size in [1, 2, 7, 8, 64, bytes.count] {
      var reader = SPDYReader()
      var read: [SPDYFrame] = []
      for start in stride(from: 0, to: bytes.count, by: size) {
        reader.append(Array(bytes[start..<min(start + size, bytes.count)]))
        while let frame = try reader.next() { read.append(frame) }
      }
      #expect(read == Self.frames, "pieces of \(size)")
      #expect(reader.buffered == 0)
    }
  }

  @Test("what kubectl sends first is read: an error stream's headers, compressed with the protocol's dictionary")
  func captured() throws {
    // zlib's head with a dictionary (0x20 set) and the dictionary's own sum, as SPDY/3 has it.
    let block = try #require(HeaderCompressor()).compress(SPDYHeaders.block([("streamtype", "error")]))
    #expect(block[1] & 0x20 == 0x20)
    #expect(Array(block[2..<6]) == [0xE3, 0xC6, 0xA7, 0xC2])
    #expect(HeaderDictionary.bytes.count == 1_423)
    let plain = try #require(HeaderExpander()).expand(block[...], limit: 1_000)
    #expect(try SPDYHeaders.parse(plain) == ["streamtype": "error"])
  }

  @Test("header blocks share one compression: a later one is read with what the ones before have said")
  func sharedCompression() throws {
    let compressor = try #require(HeaderCompressor())
    let expander = try #require(HeaderExpander())
    var sizes: [Int] = []
    for number in 0..<50 {
      let headers = [(name: "port", value: "8080"), (name: "requestid", value: "\(number)")]
      let block = compressor.compress(SPDYHeaders.block(headers))
      sizes.append(block.count)
      let read = try SPDYHeaders.parse(try expander.expand(block[...], limit: 1_000))
      #expect(read == ["port": "8080", "requestid": "\(number)"])
    }
    #expect(sizes[40] < sizes[0])
  }

  @Test("headers that would fill the memory are refused, however small they come")
  func bomb() throws {
    let compressor = try #require(HeaderCompressor())
    let value = String(repeating: "a", count: 1 << 20)
    let block = compressor.compress(SPDYHeaders.block([(name: "a", value: value)]))
    #expect(block.count < SPDYFrame.controlLimit)
    let expander = try #require(HeaderExpander())
    #expect(throws: GunzipError.tooLarge) { try expander.expand(block[...], limit: SPDYHeaders.limit) }
    let bench = try Bench()
    #expect(throws: SPDYError.self) {
      try bench.say(.synStream(stream: 1, block: block, isLast: false, isUnidirectional: false))
    }
  }

  @Test(
    "what is no frame, or too long, ends the connection",
    arguments: [
      [0x80, 2, 0, 1, 0, 0, 0, 10] + [UInt8](repeating: 0, count: 10),  // version 2
      [0x80, 3, 0, 1, 0, 0, 0, 4, 0, 0, 0, 1],  // a SYN_STREAM that is too short
      [0x80, 3, 0, 1, 0, 0, 0, 10] + [UInt8](repeating: 0, count: 10),  // stream 0
      [0x80, 3, 0, 4, 0, 0, 0, 4, 0, 0, 0, 2],  // settings without the two that it tells of
      [0x80, 3, 0, 4, 0, 0, 0, 4, 0xFF, 0xFF, 0xFF, 0xFF],
      [0x80, 3, 0, 6, 0, 0xFF, 0xFF, 0xFF],  // a ping of 16 MiB
      [0, 0, 0, 0, 0, 0, 0, 0],  // data of stream 0
      [0, 0, 0, 1, 0, 0xFF, 0xFF, 0xFF],  // data of 16 MiB
      [0x80, 3, 0, 9, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0],  // a window that grows by nothing
    ] as [[UInt8]])
  func malformed(_ bytes: [UInt8]) throws {
    let bench = try Bench()
    #expect(throws: SPDYError.self) { try bench.session.receive(bytes) }
  }

  @Test("control frames of a kind that nobody knows are passed over")
  func unknownKind() throws {
    let bench = try Bench()
    try bench.session.receive([0x80, 3, 0, 99, 0, 0, 0, 3, 1, 2, 3])
    try bench.open(1)
    #expect(bench.told == ["opened 1 [\"streamtype=data\"]"])
  }

  @Test("a stream is opened, answered, carries bytes both ways, and is over when both sides have said so")
  func streams() throws {
    let bench = try Bench()
    try bench.open(1, "error", isLast: true)
    try bench.open(3)
    #expect(bench.told == ["opened 1 [\"streamtype=error\"]", "finished 1", "opened 3 [\"streamtype=data\"]"])
    let replies = try bench.sink.takeFrames()
    #expect(replies.count == 2)
    try bench.say(.data(stream: 3, bytes: [1, 2], isLast: false))
    try bench.say(.data(stream: 3, bytes: [3], isLast: true))
    #expect(bench.data[3] == [1, 2, 3])
    bench.session.send([7, 8], on: 3)
    bench.session.finish(3)
    bench.session.finish(3)
    let frames = try bench.sink.takeFrames()
    #expect(frames == [.data(stream: 3, bytes: [7, 8], isLast: false), .data(stream: 3, bytes: [], isLast: true)])
    // Behind its end nothing is said, and what still comes is dropped.
    bench.session.send([9], on: 3)
    try bench.say(.data(stream: 3, bytes: [4], isLast: false))
    #expect(bench.data[3] == [1, 2, 3])
    #expect(try bench.sink.takeFrames().isEmpty)
  }

  @Test(
    "streams must have odd numbers that rise, each opened once",
    arguments: [[2], [3, 1], [1, 1], [1, 4]] as [[UInt32]])
  func numbers(_ ids: [UInt32]) throws {
    let bench = try Bench()
    #expect(throws: SPDYError.self) { for id in ids { try bench.open(id) } }
  }

  @Test("one stream too many is refused; the others go on")
  func tooMany() throws {
    let bench = try Bench()
    let count = UInt32(SPDYSession.streamLimit)
    for number in 0..<count { try bench.open(2 * number + 1) }
    _ = try bench.sink.takeFrames()
    try bench.open(2 * count + 1)
    let refused = SPDYFrame.reset(stream: 2 * count + 1, status: SPDYFrame.ResetStatus.refusedStream)
    #expect(try bench.sink.takeFrames() == [refused])
    try bench.say(.reset(stream: 1, status: SPDYFrame.ResetStatus.cancel))
    #expect(bench.told.last == "reset 1")
    try bench.open(2 * count + 3)
    #expect(try bench.sink.takeFrames().count == 1)
  }

  @Test("a client's ping comes back, an answer to a ping does not; a goodbye is told")
  func pings() throws {
    let bench = try Bench()
    for id in [1, 2, 3] as [UInt32] { try bench.say(.ping(id)) }
    #expect(try bench.sink.takeFrames() == [.ping(1), .ping(3)])
    try bench.say(.goAway(lastStream: 0, status: 0))
    #expect(bench.told == ["left"])
  }

  @Test("a client that keeps no windows, as all of Kubernetes', gets all at once")
  func noWindows() throws {
    let bench = try Bench()
    try bench.open(1)
    bench.session.send([UInt8](repeating: 1, count: 300_000), on: 1)
    bench.session.finish(1)
    let sent = try bench.sent(1)
    #expect(sent.bytes == 300_000)
    #expect(sent.isOver)
  }

  @Test("one that keeps windows is sent no more than it has room for, on each stream and on all together")
  func windows() throws {
    let bench = try Bench()
    try bench.say(.settings(initialWindow: 1_000))
    for id in [1, 3] as [UInt32] {
      try bench.open(id)
      bench.session.send([UInt8](repeating: 1, count: 100_000), on: id)
    }
    bench.session.finish(1)
    var sent = (try bench.sent(1).bytes, bench.session.isWaiting(1))
    #expect(sent == (1_000, true))
    try bench.say(.windowUpdate(stream: 1, delta: 500))
    sent = (try bench.sent(1).bytes, bench.session.isWaiting(1))
    #expect(sent == (500, true))
    // The session's own 64 KiB are used up before the stream's.
    try bench.say(.windowUpdate(stream: 1, delta: 1_000_000))
    #expect(try bench.sent(1).bytes == Int(SPDYFrame.usualWindow) - 2_500)
    try bench.say(.windowUpdate(stream: 0, delta: 1_000_000))
    let rest = try bench.sent(1)
    #expect(rest.bytes == 100_000 - Int(SPDYFrame.usualWindow) + 1_000)
    #expect(rest.isOver)
    #expect(!bench.session.isWaiting(1))
    // A smaller window later takes effect on what is there.
    try bench.say(.settings(initialWindow: 0))
    try bench.say(.windowUpdate(stream: 3, delta: 10))
    #expect(try bench.sent(3).bytes == 0)
    #expect(throws: SPDYError.self) { try bench.say(.settings(initialWindow: .max)) }
  }

  @Test("the sender is told of the room that its bytes leave, on the stream and on the session")
  func acknowledgements() throws {
    let bench = try Bench()
    try bench.open(1)
    _ = try bench.sink.takeFrames()
    for _ in 0..<4 { try bench.say(.data(stream: 1, bytes: [UInt8](repeating: 0, count: 20_000), isLast: false)) }
    var granted: [UInt32: UInt32] = [:]
    for case .windowUpdate(let id, let delta) in try bench.sink.takeFrames() { granted[id, default: 0] += delta }
    #expect(granted == [0: 80_000, 1: 80_000])
  }

  @Test("3,000 mutated connections end in an error or go on, and never grow")
  func fuzz() throws {
    var random = SplitMix64(seed: 31)
    for round in 0..<3_000 {
      let bench = try Bench()
      let block = bench.block([("streamtype", "data"), ("port", "80"), ("requestid", "\(round)")])
      var bytes =
        SPDYFrame.synStream(stream: 1, block: block, isLast: false, isUnidirectional: false).bytes
        + SPDYFrame.data(stream: 1, bytes: [UInt8](repeating: 5, count: 100), isLast: false).bytes
        + Self.frames.flatMap(\.bytes)
      for _ in 0...Int(random.next() % 4) {
        let place = Int(random.next() % UInt64(bytes.count))
        switch random.next() % 3 {
        case 0: bytes[place] = UInt8(truncatingIfNeeded: random.next())
        case 1: bytes.remove(at: place)
        default: bytes.insert(UInt8(truncatingIfNeeded: random.next()), at: place)
        }
      }
      try? bench.session.receive(bytes)
      #expect(bench.sink.bytes.count < 4_096, "round \(round)")
      #expect(bench.told.count < 20, "round \(round)")
    }
  }
}
