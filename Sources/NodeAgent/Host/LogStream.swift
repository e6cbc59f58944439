// Sends containers' logs to the coordinator, each on a connection of its own, as fast as it is taken, and follows those
// that are to be followed. The files are read on a thread that the disk may hold up; the loop never waits for it.

import ClusterIO
import ClusterProto
import Synchronization

/// All log streams of an agent.
final class LogStreams {
  private let loop: EventLoop
  private let paths: NodePaths
  private let thread: WorkerThread
  private let pieces: Mailbox<LogPiece>
  private var streams: [String: LogStream] = [:]

  init(loop: EventLoop, paths: NodePaths) throws(IOError) {
    self.loop = loop
    self.paths = paths
    thread = try WorkerThread(name: "stint-logs")
    pieces = try Mailbox()
    try loop.attach(pieces) { [unowned self] pieces in
      for piece in pieces { streams[piece.stream]?.take(piece) }
    }
  }

  /// Serves a request on `link`. `isLive`: whether that run of the container still may write.
  func serve(
    _ request: LogRequest, _ link: CoordinatorLink, isLive: @escaping (_ restart: Int64) -> Bool
  ) {
    let reading = LogReading(request, paths: paths, thread: thread, pieces: pieces)
    streams[request.stream] = LogStream(
      loop: loop, request: request, link: link, reading: reading, isLive: isLive
    ) {
      [unowned self] in streams[request.stream] = nil
    }
  }
}

/// What the thread has read for a stream.
private struct LogPiece: Sendable {
  var stream: String
  var restart: Int64 = 0
  var bytes: [UInt8] = []
  /// Nothing comes after it, whatever is written.
  var isLimited = false
  /// The log cannot be read.
  var problem: String?
}

/// The thread's side of a stream.
private final class LogReading: Sendable {
  private static let pieceLimit = 256 << 10

  private let request: LogRequest
  private let paths: NodePaths
  private let thread: WorkerThread
  private let pieces: Mailbox<LogPiece>
  private let reader = Mutex<LogReader?>(nil)

  init(_ request: LogRequest, paths: NodePaths, thread: WorkerThread, pieces: Mailbox<LogPiece>) {
    self.request = request
    self.paths = paths
    self.thread = thread
    self.pieces = pieces
  }

  /// Reads what there is now, up to 256 KiB; one piece follows, which is empty when there is nothing more for now.
  func read() { thread.post { [self] in pieces.post(piece()) } }

  func close() { thread.post { [self] in reader.withLock { $0 = nil } } }

  private func piece() -> LogPiece {
    var piece = LogPiece(stream: request.stream)
    reader.withLock { reader in
      do throws(LogError) {
        let open: LogReader
        if let reader {
          open = reader
        } else {
          open = try LogReader(request, paths: paths, now: WallTime(nanoseconds: Clocks.now().wall))
        }
        reader = open
        piece.restart = open.restart
        while piece.bytes.count < Self.pieceLimit {
          let more = open.next()
          if more.isEmpty { break }
          piece.bytes += more
        }
        piece.isLimited = open.isLimited
      } catch {
        piece.problem = error.message
      }
    }
    return piece
  }
}

/// One stream.
private final class LogStream {
  private static let bufferLimit = 256 << 10
  private static let followNanoseconds: Int64 = 100_000_000

  private let request: LogRequest
  private let link: CoordinatorLink
  private let reading: LogReading
  private let isLive: (_ restart: Int64) -> Bool
  private var timer: LoopTimer?
  private var restart: Int64?
  /// The container could write when the piece that is awaited was asked for.
  private var mayGrow = false
  private var isWaiting = false
  private var isOver = false

  init(
    loop: EventLoop, request: LogRequest, link: CoordinatorLink, reading: LogReading,
    isLive: @escaping (_ restart: Int64) -> Bool, ended: @escaping () -> Void
  ) {
    self.request = request
    self.link = link
    self.reading = reading
    self.isLive = isLive
    timer = loop.makeTimer { [weak self] in self?.pump() }
    link.onOpen = { [unowned self] _ in
      link.onDrained = { [weak self] in self?.pump() }
      pump()
    }
    link.onClosed = { [unowned self] _ in
      timer?.arm(at: nil)
      reading.close()
      ended()
    }
  }

  private func pump() {
    guard !isWaiting, !isOver, link.pendingOutput < Self.bufferLimit else { return }
    timer?.arm(at: nil)
    // Asked before reading: what was written while it lived is in the file when it lives no more.
    mayGrow = request.follow && !request.previous && restart.map(isLive) ?? true
    isWaiting = true
    reading.read()
  }

  func take(_ piece: LogPiece) {
    isWaiting = false
    guard !isOver else { return }
    if let problem = piece.problem { return finish(code: 400, message: problem) }
    var rest = piece.bytes[...]
    while !rest.isEmpty {
      link.send(payload: LogFrame.bytes(Array(rest.prefix(LogFrame.largestPiece))).payload)
      rest = rest.dropFirst(LogFrame.largestPiece)
    }
    let isFirst = restart == nil
    restart = piece.restart
    if piece.isLimited { return finish(code: 200, message: "") }
    if !piece.bytes.isEmpty || isFirst && mayGrow { return pump() }
    guard mayGrow else { return finish(code: 200, message: "") }
    timer?.arm(at: Clocks.boot() + Self.followNanoseconds)
  }

  private func finish(code: Int, message: String) {
    isOver = true
    timer?.arm(at: nil)
    link.send(payload: LogFrame.end(code: code, message: message).payload)
    link.close(afterFlush: true)
  }
}
