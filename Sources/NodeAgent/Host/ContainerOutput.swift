// One container's streams as the keeper holds them: what it writes on its way to its log, by a pipe or a terminal, and
// the other side of what it reads, which is handed to whoever is attached. They are held as long as the run lasts, with
// an agent or without. Knows nothing of who is attached, and reads nothing of what goes in.

import AgentCore
import CLinux
import ClusterIO
import ClusterProto
import Glibc

/// The streams of one run. Who writes is not held up for longer than a second by a disk that takes nothing: after that
/// its bytes are dropped and counted.
final class ContainerOutput {
  /// The container's own ends; `PodProcess.startContainer` takes them over.
  struct Ends {
    var output: Int32
    var errors: Int32 = -1
    var input: Int32 = -1
  }

  private static let patienceNanoseconds: Int64 = 1_000_000_000
  /// Reads of a turn, so that a chatty container cannot hold up the keeper's deadlines.
  private static let readsPerTurn = 4
  /// What may be in a pipe or a terminal when its last writer has gone; a read of a terminal gives 4 KiB.
  private static let lastReads = 32

  let run: ContainerRun
  let message: TerminationMessage
  let log: LogQueue
  private let loop: EventLoop
  private let buffer: UnsafeMutableRawBufferPointer
  /// The pipe's end, or the terminal's other side; -1: there is none yet.
  private var descriptor: Int32 = -1
  /// Where the terminal comes from, until it does.
  private var console: Int32 = -1
  /// The terminal's own side: a container that closes all its streams for a moment does not hang it up.
  private var hold: Int32 = -1
  /// The writing end of its input.
  private var input: Int32 = -1
  private var isTerminal = false
  private var timer: LoopTimer?
  private var isReading = false
  private var isDropping = false

  /// Of a run that reads and writes nothing before `open`.
  init(_ message: TerminationMessage, log: LogQueue, surroundings: PodSurroundings) {
    run = message.run
    self.message = message
    self.log = log
    loop = surroundings.loop
    buffer = surroundings.buffer
    timer = loop.makeTimer { [unowned self] in
      isDropping = true
      resume()
    }
  }

  /// Makes the streams and begins to read what will be written.
  func open(_ wanted: ContainerInput) throws(IOError) -> Ends {
    if wanted.isTerminal { return try openTerminal() }
    var ends = Ends(output: -1)
    do throws(IOError) {
      var pipes: [Int32] = [-1, -1]
      guard stint_output_pipe(&pipes) == 0 else { throw IOError.last("pipe") }
      (descriptor, ends.output) = (pipes[0], pipes[1])
      ends.errors = fcntl(ends.output, F_DUPFD_CLOEXEC, 3)
      guard ends.errors >= 0 else { throw IOError.last("pipe") }
      if wanted.isOpen {
        guard stint_output_pipe(&pipes) == 0 else { throw IOError.last("pipe") }
        (ends.input, input) = (pipes[0], pipes[1])
        // A program waits for its input as for any, and who writes to it must not.
        _ = fcntl(ends.input, F_SETFL, 0)
        _ = fcntl(input, F_SETFL, O_NONBLOCK)
      }
    } catch {
      for end in [ends.output, ends.errors, ends.input] where end >= 0 { close(end) }
      throw error
    }
    resume()
    return ends
  }

  private func openTerminal() throws(IOError) -> Ends {
    isTerminal = true
    var pair: [Int32] = [-1, -1]
    guard stint_control_pair(&pair) == 0 else { throw IOError.last("socketpair") }
    console = pair[0]
    do throws(IOError) {
      try loop.add(console, .readable) { [unowned self] _ in takeTerminal() }
    } catch {
      close(pair[1])
      throw error
    }
    return Ends(output: pair[1])
  }

  private func takeTerminal() {
    var header = stint_message()
    var passed = [Int32](repeating: -1, count: Int(STINT_STREAMS))
    let received = stint_message_receive(console, &header, nil, 0, &passed)
    if received < 0, errno == EAGAIN || errno == EINTR { return }
    closeConsole()
    guard received >= 0, passed[0] >= 0 else { return }
    descriptor = passed[0]
    _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
    hold = stint_terminal_hold(descriptor)
    resume()
  }

  private func closeConsole() {
    guard console >= 0 else { return }
    loop.remove(console)
    close(console)
    console = -1
  }

  /// For who is attached: the terminal's other side, or the writing end of the input, which is his for good where it
  /// ends with the first. The caller's; -1: there is none, or none any more.
  func takeInput(_ terms: ContainerInput) -> Int32 {
    if isTerminal {
      if console >= 0 { takeTerminal() }
      return descriptor >= 0 ? fcntl(descriptor, F_DUPFD_CLOEXEC, 3) : -1
    }
    guard input >= 0 else { return -1 }
    if !terms.endsWithFirst { return fcntl(input, F_DUPFD_CLOEXEC, 3) }
    defer { input = -1 }
    return input
  }

  private func resume() {
    timer?.arm(at: nil)
    guard !isReading, descriptor >= 0 else { return }
    do throws(IOError) {
      try loop.add(descriptor, .readable) { [unowned self] _ in read(Self.readsPerTurn) }
      isReading = true
    } catch {
      timer?.arm(at: Clocks.boot() + Self.patienceNanoseconds)
    }
  }

  private func pause() {
    if isReading { loop.remove(descriptor) }
    isReading = false
  }

  /// The log has room again.
  func hasRoom() {
    isDropping = false
    resume()
  }

  /// Takes what is left and lets go of the streams.
  func end() {
    timer?.arm(at: nil)
    isDropping = true
    if console >= 0 { takeTerminal() }
    closeConsole()
    if descriptor >= 0 { read(Self.lastReads) }
    pause()
    timer?.arm(at: nil)
    for held in [descriptor, hold, input] where held >= 0 { close(held) }
    (descriptor, hold, input) = (-1, -1, -1)
  }

  private func read(_ limit: Int) {
    let wall = Clocks.now().wall
    for _ in 0..<limit {
      let count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
      guard count > 0 else {
        if count == 0 || errno == EIO { pause() }
        return
      }
      if isDropping, !log.hasRoom {
        log.drop(Int64(count))
      } else if !log.append(UnsafeRawBufferPointer(rebasing: buffer[..<count]), wall: wall),
        !isDropping
      {
        pause()
        timer?.arm(at: Clocks.boot() + Self.patienceNanoseconds)
        return
      }
      // A pipe is empty then; a terminal gives less at a time than it has.
      if count < buffer.count, !isTerminal { return }
    }
  }
}
