// Owns: one SPDY/3.1 connection, the server's side: which streams are open, their headers, and both windows. Clients of
// Kubernetes open all streams and keep no windows: what holds them back is that their bytes are not read. One that does
// keep windows is served by them from its first word about them. It must not know what streams are for.

import ClusterIO
import ClusterProto

/// Where the bytes of a session go.
protocol ByteSink: AnyObject {
  func send(_ bytes: [UInt8])
  /// Bytes that the other side has not taken.
  var pendingOutput: Int { get }
}

/// The streams of one connection. Used on the loop's thread only.
final class SPDYSession {
  /// What comes of the other side's frames.
  struct Handler {
    /// A stream was opened; whoever wants none of it resets it.
    var opened: (UInt32, [String: String]) -> Void
    var data: (UInt32, [UInt8]) -> Void
    /// Nothing more comes on it.
    var finished: (UInt32) -> Void
    /// The other side gave it up: neither side says more on it.
    var reset: (UInt32) -> Void
    /// No more streams come.
    var left: () -> Void
  }

  private struct Stream {
    var isFinishedHere = false
    /// That was said.
    var hasSaidEnd = false
    var isFinishedThere = false
    /// How much the other side takes before it says more; below 0 for one that keeps no windows.
    var window: Int64
    /// Came since its sender was told that there is room.
    var unacknowledged = 0
    /// Waits for a window.
    var waiting: [UInt8] = []
  }

  static let streamLimit = 512
  private static let acknowledgedAt = 32 * 1024

  private let sink: any ByteSink
  private let compressor: HeaderCompressor
  private let expander: HeaderExpander
  var handler: Handler?
  private var reader = SPDYReader()
  private var streams: [UInt32: Stream] = [:]
  private var lastStream: UInt32 = 0
  private var keepsWindows = false
  private var initialWindow = SPDYFrame.usualWindow
  private var window = SPDYFrame.usualWindow
  private var unacknowledged = 0

  /// nil: no memory.
  init?(_ sink: any ByteSink) {
    guard let compressor = HeaderCompressor(), let expander = HeaderExpander() else { return nil }
    self.sink = sink
    self.compressor = compressor
    self.expander = expander
  }

  /// Whether bytes for a stream wait here.
  func isWaiting(_ id: UInt32) -> Bool { streams[id].map { !$0.waiting.isEmpty } ?? false }

  /// Takes what came. What is thrown ends the connection.
  func receive(_ bytes: [UInt8]) throws(SPDYError) {
    reader.append(bytes)
    while let frame = try reader.next() { try take(frame) }
  }

  // What the server says.

  /// Answers a stream that was opened.
  func accept(_ id: UInt32) {
    let block = compressor.compress(SPDYHeaders.block([]))
    send(.synReply(stream: id, block: block, isLast: false))
  }

  func send(_ bytes: some Collection<UInt8>, on id: UInt32) {
    guard var stream = streams[id], !stream.isFinishedHere else { return }
    stream.waiting += bytes
    streams[id] = stream
    flush(id)
  }

  /// Nothing more is sent on it behind what waits.
  func finish(_ id: UInt32) {
    guard streams[id]?.isFinishedHere == false else { return }
    streams[id]?.isFinishedHere = true
    flush(id)
  }

  /// Gives a stream up.
  func reset(_ id: UInt32, _ status: UInt32 = SPDYFrame.ResetStatus.cancel) {
    streams[id] = nil
    send(.reset(stream: id, status: status))
  }

  /// The last word.
  func leave(isError: Bool) { send(.goAway(lastStream: lastStream, status: isError ? 1 : 0)) }

  private func send(_ frame: SPDYFrame) { sink.send(frame.bytes) }

  /// Sends what its windows have room for.
  private func flush(_ id: UInt32) {
    guard var stream = streams[id] else { return }
    var sent = 0
    while sent < stream.waiting.count {
      var size = min(stream.waiting.count - sent, PodStreamFrame.largestPiece)
      if keepsWindows { size = Int(min(Int64(size), stream.window, window)) }
      if size <= 0 { break }
      sent += size
      stream.window -= Int64(size)
      window -= Int64(size)
      let isLast = stream.isFinishedHere && sent == stream.waiting.count
      stream.hasSaidEnd = isLast
      send(.data(stream: id, bytes: Array(stream.waiting[(sent - size)..<sent]), isLast: isLast))
    }
    let isEmpty = sent == stream.waiting.count
    if isEmpty, stream.isFinishedHere, !stream.hasSaidEnd {
      stream.hasSaidEnd = true
      send(.data(stream: id, bytes: [], isLast: true))
    }
    stream.waiting.removeFirst(sent)
    streams[id] = stream.hasSaidEnd && stream.isFinishedThere ? nil : stream
  }

  // What the client says.

  private func take(_ frame: SPDYFrame) throws(SPDYError) {
    switch frame {
    case .synStream(let id, let block, let isLast, _): try open(id, block, isLast)
    case .data(let id, let bytes, let isLast): take(bytes, on: id, isLast)
    case .synReply(_, let block, _), .headers(_, let block, _):
      // Nothing is asked of the client; but each block belongs to the one stream of compression.
      _ = try headers(block)
    case .reset(let id, _): if streams.removeValue(forKey: id) != nil { handler?.reset(id) }
    case .ping(let id): if id & 1 == 1 { send(.ping(id)) }
    case .goAway: handler?.left()
    case .settings(let initial): try keepWindows(initial)
    case .windowUpdate(let id, let delta): try keepWindows(id, delta)
    }
  }

  private func headers(_ block: [UInt8]) throws(SPDYError) -> [String: String] {
    let plain: [UInt8]
    do throws(GunzipError) {
      plain = try expander.expand(block[...], limit: SPDYHeaders.limit)
    } catch {
      throw SPDYError("headers that cannot be expanded, or that are too long")
    }
    return try SPDYHeaders.parse(plain)
  }

  private func open(_ id: UInt32, _ block: [UInt8], _ isLast: Bool) throws(SPDYError) {
    let headers = try headers(block)
    guard id & 1 == 1, id > lastStream else { throw SPDYError("stream \(id) after stream \(lastStream)") }
    lastStream = id
    guard streams.count < Self.streamLimit else { return reset(id, SPDYFrame.ResetStatus.refusedStream) }
    streams[id] = Stream(isFinishedThere: isLast, window: initialWindow)
    handler?.opened(id, headers)
    if isLast, streams[id] != nil { handler?.finished(id) }
  }

  private func take(_ bytes: [UInt8], on id: UInt32, _ isLast: Bool) {
    acknowledge(bytes.count, on: id)
    // What was on its way when the stream ended here is dropped.
    guard let stream = streams[id] else { return }
    if stream.isFinishedThere { return reset(id, SPDYFrame.ResetStatus.streamAlreadyClosed) }
    if !bytes.isEmpty { handler?.data(id, bytes) }
    guard isLast, streams[id] != nil else { return }
    streams[id]?.isFinishedThere = true
    handler?.finished(id)
    if streams[id]?.hasSaidEnd == true { streams[id] = nil }
  }

  /// Tells the sender that there is room. What is not taken on is held back by not reading at all.
  private func acknowledge(_ count: Int, on id: UInt32) {
    unacknowledged += count
    if unacknowledged >= Self.acknowledgedAt {
      send(.windowUpdate(stream: 0, delta: UInt32(unacknowledged)))
      unacknowledged = 0
    }
    guard let known = streams[id]?.unacknowledged else { return }
    let sum = known + count
    streams[id]?.unacknowledged = sum >= Self.acknowledgedAt ? 0 : sum
    if sum >= Self.acknowledgedAt { send(.windowUpdate(stream: id, delta: UInt32(sum))) }
  }

  private func keepWindows(_ initial: UInt32?) throws(SPDYError) {
    guard let initial else { return }
    guard initial <= UInt32(Int32.max) else { throw SPDYError("a window of \(initial) bytes") }
    keepsWindows = true
    let change = Int64(initial) - initialWindow
    initialWindow = Int64(initial)
    for id in streams.keys.sorted() {
      streams[id]?.window += change
      flush(id)
    }
  }

  private func keepWindows(_ id: UInt32, _ delta: UInt32) throws(SPDYError) {
    guard delta > 0 else { throw SPDYError("a window that grows by nothing") }
    keepsWindows = true
    if id == 0 {
      window += Int64(delta)
      guard window <= Int64(Int32.max) else { throw SPDYError("a window of \(window) bytes") }
      for id in streams.keys.sorted() where isWaiting(id) { flush(id) }
    } else if let known = streams[id]?.window {
      guard known + Int64(delta) <= Int64(Int32.max) else { throw SPDYError("a window of more than 2^31 bytes") }
      streams[id]?.window = known + Int64(delta)
      flush(id)
    }
  }
}
