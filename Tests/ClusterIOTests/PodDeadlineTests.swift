// Owns: tests of rule K4 at one pod: its init holds the deadline by itself, whatever its keeper, its start or a file
// system does. The tests play a keeper that is stuck: they do not turn the loop. Real processes.

import CLinux
import ClusterIO
import Glibc
import Testing

@Suite(.enabled(if: isRoot, "namespaces by clone need root")) struct PodDeadlineTests {
  private static let ticking = "(while :; do echo tick; sleep 0.01; done) & while :; do echo tock; sleep 0.01; done"

  private func milliseconds(_ count: Int64) -> Int64 { Clocks.boot() + count * 1_000_000 }

  /// Whether the pod's output stays as it is for so long. Nobody turns the loop.
  private func stands(_ pod: TestPod, for time: Int64) -> Bool {
    let size = pod.output().utf8.count
    let end = milliseconds(time)
    _ = eventually { Clocks.boot() > end || pod.output().utf8.count != size }
    return pod.output().utf8.count == size
  }

  @Test(
    "at its deadline a pod stands still, and a margin later it is dead, though its keeper does nothing",
    arguments: isolations)
  func keeperStuck(isolation: PodProcess.Isolation) throws {
    let deadline = milliseconds(3_000)
    let pod = try TestPod(isolation: isolation, until: deadline)
    try pod.start(Self.ticking)
    #expect(try pod.waitFor("tick") && pod.waitFor("tock"))
    let identity = try #require(pod.pod.identity)
    let last = try #require(lastGrowth(of: pod, until: deadline + 900_000_000))
    #expect(last > deadline - 200_000_000 && last < deadline + 300_000_000)
    #expect(identity.isAlive)
    #expect(eventually { !identity.isAlive })
    #expect(Clocks.boot() >= deadline + Int64(STINT_DEADLINE_MARGIN_MS) * 1_000_000)
    // What the init said meanwhile waited in the socket.
    #expect(try turn(pod.loop) { pod.gone != nil })
    #expect(pod.frozen == nil || pod.frozen == true)
  }

  /// When the output last grew, as seen until `end`.
  private func lastGrowth(of pod: TestPod, until end: Int64) -> Int64? {
    var size = pod.output().utf8.count
    var last: Int64?
    _ = eventually {
      let present = pod.output().utf8.count
      if present > size { last = Clocks.boot() }
      size = present
      return Clocks.boot() > end
    }
    return last
  }

  @Test("a renewal is a store and nothing else, and the pod goes on past its first deadlines", arguments: isolations)
  func renewed(isolation: PodProcess.Isolation) throws {
    let pod = try TestPod(isolation: isolation, until: milliseconds(3_000))
    try pod.start(Self.ticking)
    #expect(try pod.waitFor("tick"))
    let end = milliseconds(5_000)
    var size = 0
    _ = eventually {
      pod.pod.moveDeadline(to: milliseconds(1_000))
      if Clocks.boot() > end - 500_000_000, size == 0 { size = pod.output().utf8.count }
      return Clocks.boot() > end
    }
    #expect(pod.output().utf8.count > size)
    #expect(try !turn(pod.loop, seconds: 0) { pod.frozen != nil })
  }

  @Test("a deadline that comes nearer holds within the look interval, by the store alone", arguments: isolations)
  func nearer(isolation: PodProcess.Isolation) throws {
    let pod = try TestPod(isolation: isolation, until: milliseconds(600_000))
    try pod.start(Self.ticking)
    #expect(try pod.waitFor("tick"))
    let identity = try #require(pod.pod.identity)
    let look = PodDeadline.lookMilliseconds
    let moved = Clocks.boot()
    pod.pod.moveDeadline(to: milliseconds(1_000))
    // Nobody wakes it: the keeper does nothing more.
    #expect(eventually(seconds: 60) { !identity.isAlive })
    #expect(Clocks.boot() - moved < (look + 8_000) * 1_000_000)
    #expect(try turn(pod.loop) { pod.gone != nil })
  }

  @Test("what its init has stopped does not go on because the deadline moves, only by the order to")
  func onlyByOrder() throws {
    // Long enough for a start on a machine that is busy.
    let pod = try TestPod(until: milliseconds(3_000))
    try pod.start(Self.ticking)
    #expect(try pod.waitFor("tick"))
    #expect(try turn(pod.loop) { pod.frozen == true })
    pod.pod.moveDeadline(to: milliseconds(60_000))
    #expect(stands(pod, for: 1_500))
    #expect(pod.pod.identity?.isAlive == true)
    let size = pod.output().utf8.count
    pod.pod.thaw()
    #expect(try turn(pod.loop) { pod.output().utf8.count > size })
    // The timer stands on the new deadline.
    pod.frozen = nil
    pod.pod.moveDeadline(to: milliseconds(300))
    pod.pod.thaw()
    #expect(try turn(pod.loop) { pod.frozen == true })
    #expect(stands(pod, for: 200))
  }

  @Test("that a pod stands still is not believed when it was said before the last thaw")
  func staleWord() throws {
    let pod = try TestPod()
    try pod.start(Self.ticking)
    #expect(try pod.waitFor("tick"))
    pod.pod.freeze()
    // Its answer lies in the socket when the thaw is ordered.
    #expect(eventually { stands(pod, for: 100) })
    pod.pod.thaw()
    let size = pod.output().utf8.count
    #expect(try turn(pod.loop) { pod.output().utf8.count > size })
    #expect(pod.frozen == nil)
  }

  @Test("a container whose order is read after the deadline does not start before the pod may go on")
  func lateOrder() throws {
    let pod = try TestPod(until: milliseconds(-1))
    pod.pod.moveDeadline(to: milliseconds(-1))
    try pod.start("echo ran")
    #expect(try turn(pod.loop) { pod.frozen == true })
    #expect(pod.output() == "")
    pod.pod.moveDeadline(to: milliseconds(60_000))
    #expect(stands(pod, for: 300))
    pod.pod.thaw()
    #expect(try turn(pod.loop) { pod.exits[0] == .exited(code: 0) })
    #expect(pod.output() == "ran\n")
  }

  @Test(
    "a container whose file system does not answer keeps its init from nothing",
    .enabled(if: access("/dev/fuse", R_OK | W_OK) == 0))
  func hangingStart() throws {
    let pod = try TestPod(until: milliseconds(2_500))
    let silent = try SilentMount(at: "\(pod.scratch.path)/silent")
    defer { silent.end() }
    try pod.start(Self.ticking, slot: 0)
    try pod.start("exec sleep 1000", slot: 2)
    #expect(try pod.waitFor("tick") && turn(pod.loop) { pod.started[2] != nil })
    var plan = ContainerPlan(arguments: ["/bin/true"], environment: [])
    plan.directory = silent.path
    try pod.start(plan, slot: 1)
    #expect(eventually { silent.isAsked })
    // Orders are obeyed meanwhile, and ends are told.
    pod.pod.killContainer(slot: 2)
    #expect(try turn(pod.loop) { pod.exits[2] == .signaled(signal: SIGKILL) })
    #expect(pod.started[1] == nil && pod.failures[1] == nil)
    #expect(try turn(pod.loop) { pod.frozen == true })
    #expect(stands(pod, for: 200))
    pod.pod.moveDeadline(to: Int64.max)
    pod.pod.thaw()
    pod.pod.killContainer(slot: 1)
    silent.end()
    #expect(try turn(pod.loop) { pod.exits[1] != nil || pod.failures[1] != nil })
  }

  @Test("no container has the page of deadlines", arguments: isolations)
  func hidden(isolation: PodProcess.Isolation) throws {
    let pod = try TestPod(isolation: isolation)
    let (exit, _) = try pod.run(
      "grep -c stint-deadlines /proc/self/maps; ls -l /proc/self/fd | grep -c stint-deadlines")
    #expect(exit == .exited(code: 1))
    #expect(pod.output() == "0\n0\n")
  }
}

/// A file system that never answers (FUSE without a server): whoever looks into it waits.
final class SilentMount {
  let path: String
  private var device: Int32

  init(at path: String) throws {
    self.path = path
    try Files.makeDirectory(path)
    device = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK)
    guard device >= 0 else { throw IOError.last("open", "/dev/fuse") }
    let options = "fd=\(device),rootmode=40000,user_id=0,group_id=0"
    guard mount("silent", path, "fuse", 0, options) == 0 else {
      let error = IOError.last("mount", path)
      close(device)
      throw error
    }
  }

  deinit { end() }

  /// Whether somebody waits for an answer. (The first question, of the kernel itself, is taken and not answered.)
  var isAsked: Bool {
    ((try? Files.list("/proc")) ?? []).compactMap { Int32($0) }.contains { pid in
      (try? Files.readLine("/proc/\(pid)/wchan"))?.hasPrefix("fuse_") == true
        || (try? Files.readLine("/proc/\(pid)/wchan"))?.hasPrefix("request_wait") == true
    }
  }

  /// Everybody who waits gets an error.
  func end() {
    guard device >= 0 else { return }
    close(device)
    device = -1
    umount2(path, Int32(MNT_DETACH))
  }
}
