// Sends containers' logs to the coordinator, each on a connection of its own, or to who is attached to a container, as
// fast as it is taken, and follows those that are to be followed. The files are read on a thread that the disk may hold
// up; the loop never waits for it.

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
    let sink = LogSink(
      send: { link.send(payload: LogFrame.bytes($0).payload) }, pendingOutput: { link.pendingOutput },
      finish: { code, message in
        link.send(payload: LogFrame.end(code: code, message: message).payload)
        link.close(afterFlush: true)
      })
    let close = open(request, sink, isLive: isLive)
    link.onOpen = { [weak self] _ in
      link.onDrained = { [weak self] in self?.pump(request.stream) }
      self?.pump(request.stream)
    }
    link.onClosed = { _ in close() }
  }

  /// Follows a log to `sink`, from the first `pump` of its stream on; the result ends it.
  func open(
    _ request: LogRequest, _ sink: LogSink, isLive: @escaping (_ restart: Int64) -> Bool
  ) -> () -> Void {
    let reading = LogReading(request, paths: paths, thread: thread, pieces: pieces)
    let stream = LogStream(loop: loop, request: request, sink: sink, reading: reading, isLive: isLive)
    streams[request.stream] = stream
    return { [weak self] in
      stream.close()
      self?.streams[request.stream] = nil
    }
  }

  /// Its sink takes more.
  func pump(_ stream: String) { streams[stream]?.pump() }
}

/// Where a log goes.
struct LogSink {
  /// Pieces of at most `LogFrame.largestPiece`.
  var send: ([UInt8]) -> Void
  var pendingOutput: () -> Int
  /// Once, last: the code as HTTP's, and why where it is not 200.
  var finish: (_ code: Int, _ message: String) -> Void
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
  private let sink: LogSink
  private let reading: LogReading
  private let isLive: (_ restart: Int64) -> Bool
  private var timer: LoopTimer?
  private var restart: Int64?
  /// The container could write when the piece that is awaited was asked for.
  private var mayGrow = false
  private var isWaiting = false
  private var isOver = false

  init(
    loop: EventLoop, request: LogRequest, sink: LogSink, reading: LogReading,
    isLive: @escaping (_ restart: Int64) -> Bool
  ) {
    self.request = request
    self.sink = sink
    self.reading = reading
    self.isLive = isLive
    timer = loop.makeTimer { [weak self] in self?.pump() }
  }

  func close() {
    isOver = true
    timer?.arm(at: nil)
    reading.close()
  }

  func pump() {
    guard !isWaiting, !isOver, sink.pendingOutput() < Self.bufferLimit else { return }
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
      sink.send(Array(rest.prefix(LogFrame.largestPiece)))
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
    sink.finish(code, message)
  }
}
