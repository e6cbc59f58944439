// A process in a container of this node as the agent holds it: its streams, or its terminal, and its end. The keeper
// starts it (DATA/exec.sock) and tells how it ended; its bytes come and go here directly. At most `inputLimit` bytes
// wait for it, and none of its own are read that nobody takes. Knows nothing of who wants it.

import CLinux
import ClusterIO
import ClusterProto
import Glibc

/// One process. The loop keeps it alive until `onEnd`; `close` ends it earlier.
final class ContainerExec {
  /// What a process writes to. A terminal has `output` alone.
  enum Stream: Int { case output, errors }

  /// Which of its streams somebody has; the others are /dev/null. A terminal has input and output.
  struct Streams: Equatable {
    var input = false
    var output = true
    var errors = true
  }

  /// The command runs.
  var onStarted: (() -> Void)?
  /// What it writes, never empty, at most 64 KiB at a time.
  var onBytes: ((Stream, [UInt8]) -> Void)?
  /// Everything that was written to it has been taken.
  var onDrained: (() -> Void)?
  /// Once, last, after all that the process itself has written. Not after `close`.
  var onEnd: ((ExecEnd) -> Void)?

  /// Bytes that wait for the process to read them.
  var pendingInput: Int { input.count }
  /// Most of them: what is written beyond is refused.
  static let inputLimit = 1 << 20

  private let loop: EventLoop
  private var socket: MessageSocket?
  private let input = ByteQueue()
  private var inputDescriptor: Int32 = -1
  private var closesInput = false
  /// Ends of pipes, or the terminal's, by `Stream`; -1: closed, or never there.
  private var outputs: [Int32] = [-1, -1]
  private var size: TerminalSize?
  /// Where the terminal comes from, until it does.
  private var console: Int32 = -1
  private var isReading = true
  private var end: ExecEnd?
  private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 16)

  /// Asks the keeper of that data directory. Throws where it cannot be asked: nothing was started then.
  init(loop: EventLoop, paths: NodePaths, request: ExecRequest, streams: Streams) throws(IOError) {
    self.loop = loop
    size = request.terminal
    let bytes = Array(request.json.text.utf8)
    guard bytes.count <= ExecRequest.limit else {
      throw IOError(code: E2BIG, operation: "exec", subject: "the command")
    }
    var passed: [Int32] = []
    defer { for descriptor in passed { Glibc.close(descriptor) } }
    do throws(IOError) {
      passed = request.terminal == nil ? try makePipes(streams) : try makeConsole()
      let socket = try MessageSocket.connect(loop: loop, path: paths.execSocket, limit: ExecRequest.limit)
      self.socket = socket
      socket.onMessage = { [self] bytes, descriptors in
        for descriptor in descriptors { Glibc.close(descriptor) }
        take(bytes)
      }
      socket.onClose = { [self] in ended(.gone) }
      for stream in [Stream.output, .errors] where outputs[stream.rawValue] >= 0 { try watch(stream) }
      if console >= 0 { try loop.add(console, .readable) { [self] _ in takeTerminal() } }
      socket.send(bytes, passing: passed)
    } catch {
      close()
      throw error
    }
  }

  deinit { buffer.deallocate() }

  /// Bytes for its standard input or terminal. False: more wait than may, and these are not taken.
  func write(_ bytes: [UInt8]) -> Bool {
    guard pendingInput + bytes.count <= Self.inputLimit else { return false }
    guard inputDescriptor >= 0 || console >= 0, !closesInput else { return true }
    input.append(bytes)
    flushInput()
    return true
  }

  /// Nothing more comes: its standard input ends when it has read what waits. A terminal stays as it is.
  func closeInput() {
    closesInput = true
    flushInput()
  }

  /// Gives its terminal another size.
  func resize(_ size: TerminalSize) {
    guard self.size != nil else { return }
    self.size = size
    if outputs[0] >= 0 { _ = stint_terminal_resize(outputs[0], size.columns, size.rows) }
  }

  /// Stops (or resumes) reading what it writes: it is held up by its pipes then.
  func setReading(_ reading: Bool) {
    guard reading != isReading else { return }
    isReading = reading
    for stream in [Stream.output, .errors] { updateInterest(stream) }
    if reading, end != nil {
      loop.atTurnEnd { [self] in finishReading() }
      loop.requestTurn()
    }
  }

  /// Kills the process, if it runs, and lets go of it; nothing is told any more.
  func close() {
    onStarted = nil
    onBytes = nil
    onDrained = nil
    onEnd = nil
    release()
  }

  private func makePipes(_ streams: Streams) throws(IOError) -> [Int32] {
    var passed: [Int32] = []
    func null() throws(IOError) -> Int32 {
      let descriptor = open("/dev/null", O_RDWR | O_CLOEXEC)
      guard descriptor >= 0 else { throw IOError.last("open", "/dev/null") }
      return descriptor
    }
    do throws(IOError) {
      if streams.input {
        let ends = try pipe(nonBlocking: 1)
        passed.append(ends.read)
        inputDescriptor = ends.write
      } else {
        passed.append(try null())
      }
      for (stream, isWanted) in [(Stream.output, streams.output), (.errors, streams.errors)] {
        guard isWanted else {
          passed.append(try null())
          continue
        }
        let ends = try pipe(nonBlocking: 0)
        passed.append(ends.write)
        outputs[stream.rawValue] = ends.read
      }
      return passed
    } catch {
      for descriptor in passed { Glibc.close(descriptor) }
      throw error
    }
  }

  private func pipe(nonBlocking end: Int) throws(IOError) -> (read: Int32, write: Int32) {
    var ends: [Int32] = [-1, -1]
    guard stint_output_pipe(&ends) == 0 else { throw IOError.last("pipe") }
    // Only ours: what waits is held up by its pipe as any program's is.
    _ = fcntl(ends[1 - end], F_SETFL, 0)
    _ = fcntl(ends[end], F_SETFL, O_NONBLOCK)
    return (ends[0], ends[1])
  }

  private func makeConsole() throws(IOError) -> [Int32] {
    var pair: [Int32] = [-1, -1]
    guard stint_control_pair(&pair) == 0 else { throw IOError.last("socketpair") }
    console = pair[0]
    return [pair[1]]
  }

  private func takeTerminal() {
    var header = stint_message()
    var passed = [Int32](repeating: -1, count: Int(STINT_STREAMS))
    let received = stint_message_receive(console, &header, nil, 0, &passed)
    if received < 0, errno == EAGAIN || errno == EINTR { return }
    loop.remove(console)
    Glibc.close(console)
    console = -1
    guard received >= 0, passed[0] >= 0 else { return }
    outputs[0] = passed[0]
    _ = fcntl(passed[0], F_SETFL, O_NONBLOCK)
    inputDescriptor = passed[0]
    if let size { _ = stint_terminal_resize(passed[0], size.columns, size.rows) }
    try? watch(.output)
    flushInput()
  }

  private func watch(_ stream: Stream) throws(IOError) {
    try loop.add(outputs[stream.rawValue], isReading ? .readable : []) { [self] ready in
      if ready.contains(.writable) { flushInput() }
      if isReading { read(stream) }
    }
  }

  private func updateInterest(_ stream: Stream) {
    let descriptor = outputs[stream.rawValue]
    guard descriptor >= 0 else { return }
    var wanted: EventLoop.Interest = isReading ? .readable : []
    if descriptor == inputDescriptor, pendingInput > 0 { wanted.insert(.writable) }
    try? loop.modify(descriptor, wanted)
  }

  /// One piece; false: there is none now, or none will come.
  @discardableResult private func read(_ stream: Stream) -> Bool {
    let descriptor = outputs[stream.rawValue]
    guard descriptor >= 0 else { return false }
    let count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
    if count > 0 {
      onBytes?(stream, [UInt8](UnsafeRawBufferPointer(rebasing: buffer[..<count])))
      return true
    }
    if count < 0, errno == EAGAIN || errno == EINTR, end == nil { return false }
    closeOutput(stream)
    return false
  }

  private func closeOutput(_ stream: Stream) {
    let descriptor = outputs[stream.rawValue]
    guard descriptor >= 0 else { return }
    loop.remove(descriptor)
    Glibc.close(descriptor)
    outputs[stream.rawValue] = -1
    if descriptor == inputDescriptor { inputDescriptor = -1 }
    if end != nil { finishReading() }
  }

  private func flushInput() {
    let had = pendingInput
    while inputDescriptor >= 0, pendingInput > 0 {
      let written = input.take { Glibc.write(inputDescriptor, $0.baseAddress, $0.count) }
      if written < 0, errno == EINTR { continue }
      if written < 0 {
        if errno == EAGAIN { break }
        // Nobody reads it any more: the rest is for nobody.
        input.removeAll()
        endInput()
      }
    }
    watchInput()
    if closesInput, pendingInput == 0, console < 0 { endInput() }
    if had > 0, pendingInput == 0 { onDrained?() }
  }

  private var isInputWatched = false

  /// A pipe is watched while something waits for it; a terminal is watched anyway.
  private func watchInput() {
    guard inputDescriptor >= 0 else { return }
    if inputDescriptor == outputs[0] { return updateInterest(.output) }
    let wanted = pendingInput > 0
    guard wanted != isInputWatched else { return }
    isInputWatched = wanted
    if wanted {
      try? loop.add(inputDescriptor, .writable) { [self] _ in flushInput() }
    } else {
      loop.remove(inputDescriptor)
    }
  }

  private func endInput() {
    // The terminal's end is its output too.
    guard inputDescriptor >= 0, inputDescriptor != outputs[0] else { return }
    if isInputWatched { loop.remove(inputDescriptor) }
    isInputWatched = false
    Glibc.close(inputDescriptor)
    inputDescriptor = -1
  }

  private func take(_ bytes: ArraySlice<UInt8>) {
    guard let json = try? JSON(parsing: bytes), let reply = try? ExecReply(json: json) else { return }
    switch reply {
    case .started: onStarted?()
    // Of another question.
    case .input: break
    case .ended(let end): ended(end)
    }
  }

  private func ended(_ end: ExecEnd) {
    guard self.end == nil else { return }
    self.end = end
    socket?.close()
    socket = nil
    input.removeAll()
    endInput()
    if console >= 0 { takeTerminal() }
    finishReading()
  }

  /// What the process has left in its pipes is all there is: who else holds them open is not waited for.
  private func finishReading() {
    guard let end, isReading else { return }
    for stream in [Stream.output, .errors] {
      while isReading, read(stream) {}
    }
    guard outputs.allSatisfy({ $0 < 0 }), let handler = onEnd else { return }
    onEnd = nil
    release()
    handler(end)
  }

  private func release() {
    socket?.close()
    socket = nil
    endInput()
    for stream in [Stream.output, .errors] where outputs[stream.rawValue] >= 0 {
      loop.remove(outputs[stream.rawValue])
      Glibc.close(outputs[stream.rawValue])
      outputs[stream.rawValue] = -1
    }
    inputDescriptor = -1
    if console >= 0 {
      loop.remove(console)
      Glibc.close(console)
      console = -1
    }
  }
}
