// Sends containers' logs to the coordinator, each on a connection of its own, or to who is attached to a container, as
// fast as it is taken, and follows those that are to be followed. The files are read on a thread that the disk may hold
// up; the loop never waits for it.

import ClusterIO
import ClusterProto
import Glibc
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

  /// Follows a log to `sink`, from the first `pump` of its stream on; the result ends it. `fromEnd`: what is there at
  /// that time is passed over, and what comes is not looked for every now and then, but when it is written.
  func open(
    _ request: LogRequest, _ sink: LogSink, fromEnd: Bool = false, isLive: @escaping (_ restart: Int64) -> Bool
  ) -> () -> Void {
    let reading = LogReading(request, fromEnd: fromEnd, paths: paths, thread: thread, pieces: pieces)
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
  /// Once, before all others: the log is open.
  var begun: () -> Void = {}
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

  /// Readable when something was written, if anything tells that.
  let watch: Int32
  private let request: LogRequest
  private let fromEnd: Bool
  private let paths: NodePaths
  private let thread: WorkerThread
  private let pieces: Mailbox<LogPiece>
  private let reader = Mutex<LogReader?>(nil)
  private let isWatching = Mutex(false)

  init(_ request: LogRequest, fromEnd: Bool, paths: NodePaths, thread: WorkerThread, pieces: Mailbox<LogPiece>) {
    self.request = request
    self.fromEnd = fromEnd
    self.paths = paths
    self.thread = thread
    self.pieces = pieces
    watch = fromEnd ? inotify_init1(Int32(IN_NONBLOCK | IN_CLOEXEC)) : -1
  }

  /// Reads what there is now, up to 256 KiB; one piece follows, which is empty when there is nothing more for now.
  func read() { thread.post { [self] in pieces.post(piece()) } }

  func close() {
    thread.post { [self] in
      reader.withLock { $0 = nil }
      if watch >= 0 { Glibc.close(watch) }
    }
  }

  /// Before it is read, so that what is written later is told. The directory is there with the first byte.
  private func beginWatch() {
    guard watch >= 0 else { return }
    isWatching.withLock { isWatching in
      if isWatching { return }
      let directory = paths.logs(request.attempt, container: request.container)
      isWatching = inotify_add_watch(watch, directory, UInt32(IN_MODIFY | IN_CREATE)) >= 0
    }
  }

  private func piece() -> LogPiece {
    var piece = LogPiece(stream: request.stream)
    beginWatch()
    reader.withLock { reader in
      do throws(LogError) {
        let open: LogReader
        if let reader {
          open = reader
        } else {
          open = try LogReader(request, paths: paths, now: WallTime(nanoseconds: Clocks.now().wall))
          if fromEnd { open.skip() }
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
  /// Something was written since the piece that is awaited was asked for.
  private var hasMore = false
  private var isOver = false
  private let loop: EventLoop

  init(
    loop: EventLoop, request: LogRequest, sink: LogSink, reading: LogReading,
    isLive: @escaping (_ restart: Int64) -> Bool
  ) {
    self.request = request
    self.sink = sink
    self.reading = reading
    self.isLive = isLive
    self.loop = loop
    timer = loop.makeTimer { [weak self] in self?.pump() }
    if reading.watch >= 0 { try? loop.add(reading.watch, .readable) { [weak self] _ in self?.written() } }
  }

  private func written() {
    var buffer = [UInt8](repeating: 0, count: 4096)
    while read(reading.watch, &buffer, buffer.count) > 0 {}
    hasMore = true
    pump()
  }

  func close() {
    isOver = true
    timer?.arm(at: nil)
    if reading.watch >= 0 { loop.remove(reading.watch) }
    reading.close()
  }

  func pump() {
    guard !isWaiting, !isOver, sink.pendingOutput() < Self.bufferLimit else { return }
    timer?.arm(at: nil)
    // Asked before reading: what was written while it lived is in the file when it lives no more.
    mayGrow = request.follow && !request.previous && restart.map(isLive) ?? true
    isWaiting = true
    hasMore = false
    reading.read()
  }

  func take(_ piece: LogPiece) {
    isWaiting = false
    guard !isOver else { return }
    if let problem = piece.problem { return finish(code: 400, message: problem) }
    if restart == nil { sink.begun() }
    var rest = piece.bytes[...]
    while !rest.isEmpty {
      sink.send(Array(rest.prefix(LogFrame.largestPiece)))
      rest = rest.dropFirst(LogFrame.largestPiece)
    }
    let isFirst = restart == nil
    restart = piece.restart
    if piece.isLimited { return finish(code: 200, message: "") }
    if !piece.bytes.isEmpty || mayGrow && (isFirst || hasMore) { return pump() }
    guard mayGrow else { return finish(code: 200, message: "") }
    timer?.arm(at: Clocks.boot() + Self.followNanoseconds)
  }

  private func finish(code: Int, message: String) {
    isOver = true
    timer?.arm(at: nil)
    sink.finish(code, message)
  }
}
