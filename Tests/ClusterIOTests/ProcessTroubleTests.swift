// What /proc shows of a process that somebody waits for. Those that a disk holds are in ClusterTests/HeldProcessTests.

import ClusterIO
import Glibc
import Testing

@Suite("Why a process does not end or answer") struct ProcessTroubleTests {
  @Test("one that runs has no trouble, one that was killed is over though not reaped, and so is a number's former one")
  func killed() throws {
    let child = try Child(Child.Options(path: "/bin/sleep", arguments: ["sleep", "600"], environment: []))
    let process = try #require(ProcessIdentity.read(pid: child.pid))
    #expect(!ProcessTrouble.isOver(process))
    #expect(ProcessTrouble.read(pid: child.pid)?.isDying != true)
    #expect(ProcessTrouble.isOver(ProcessIdentity(pid: process.pid, startTime: process.startTime &+ 1)))
    child.signal(SIGKILL)
    var ended = pollfd(fd: child.descriptor, events: Int16(POLLIN), revents: 0)
    #expect(poll(&ended, 1, 20_000) == 1)
    #expect(ProcessTrouble.isOver(process))
    #expect(ProcessTrouble.read(pid: child.pid)?.words == "was killed and is not gone yet")
    #expect(child.reap() != nil)
    #expect(ProcessTrouble.read(pid: process.pid) == nil || ProcessTrouble.isOver(process))
  }
}
