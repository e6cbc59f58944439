// Files that hold keys, and their directories: what others may do with them is refused or told, with the command.

import Glibc
import Testing

@testable import ClusterIO

@Suite("Files with keys are their owner's alone")
struct PrivateFilesTests {
  private func message(_ body: () throws(IOError) -> Void) -> String {
    do throws(IOError) {
      try body()
      return ""
    } catch {
      return error.description
    }
  }

  @Test(
    "a key that group or others may use in any way is refused with the file, its mode and the command",
    arguments: [0o600, 0o400, 0o640, 0o644, 0o604, 0o610, 0o601, 0o620, 0o4777] as [UInt32])
  func modes(mode: UInt32) throws {
    let scratch = try Scratch()
    let key = "\(scratch.path)/key.pem"
    try Files.writeAtomically(key, Array("key".utf8))
    #expect(chmod(key, mode) == 0)
    let isLoose = mode & 0o077 != 0
    let said = message { () throws(IOError) in _ = try PrivateFiles.read(key) }
    #expect(said.isEmpty != isLoose)
    if isLoose { #expect(said.contains("\(key)") && said.contains("chmod 600 \(key)"), "\(said)") }
    if isLoose { #expect(said.contains("(mode \(mode > 0o777 ? "" : "0")\(String(mode, radix: 8)))"), "\(said)") }
    #expect((PrivateFiles.exposure(of: "a key", in: key) != nil) == isLoose)
    // By whatever reads keys.
    #expect(message { () throws(IOError) in _ = try PEMIdentity(file: key) } == said)
    let link = "\(scratch.path)/link"
    symlink(key, link)
    #expect(message { () throws(IOError) in _ = try PrivateFiles.read(link) }.isEmpty != isLoose)
  }

  @Test("a directory into which others may write, and a file in it, are refused; one that others may see is told")
  func directories() throws {
    let scratch = try Scratch()
    let place = "\(scratch.path)/pki"
    #expect(message { () throws(IOError) in try PrivateFiles.refuseShared(place, withContent: true) } == "")
    try Files.makeDirectory(place)
    try Files.writeAtomically("\(place)/former.pem", [])
    symlink("/nowhere", "\(place)/dangling")
    for mode in [0o700, 0o750, 0o755] as [mode_t] {
      chmod(place, mode)
      #expect(message { () throws(IOError) in try PrivateFiles.refuseShared(place, withContent: true) } == "")
      #expect(PrivateFiles.exposure(of: place)?.contains("chmod 700 \(place)") == (mode == 0o700 ? nil : true))
    }
    for mode in [0o770, 0o707, 0o777, 0o1777, 0o702] as [mode_t] {
      chmod(place, mode)
      let said = message { () throws(IOError) in try PrivateFiles.refuseShared(place, withContent: false) }
      #expect(said.contains("chmod go-w \(place)") && said.contains(String(mode, radix: 8)), "\(said)")
    }
    chmod(place, 0o700)
    // A certificate may be seen, but not be put there.
    for (mode, isRefused) in [(0o644, false), (0o666, true), (0o660, true)] as [(mode_t, Bool)] {
      chmod("\(place)/former.pem", mode)
      let said = message { () throws(IOError) in try PrivateFiles.refuseShared(place, withContent: true) }
      #expect(said.contains("chmod go-w \(place)/former.pem") == isRefused && said.isEmpty != isRefused, "\(said)")
    }
  }

  @Test(
    "a directory or file of another user is refused where it is one's own by right, and not where a key is only read",
    .enabled(if: geteuid() == 0, "needs root, to give files away"))
  func owners() throws {
    let scratch = try Scratch()
    let key = "\(scratch.path)/key.pem"
    try Files.writeAtomically(key, Array("key".utf8))
    for (place, command) in [(key, "chown 0 \(key)"), (scratch.path, "chown 0 \(scratch.path)")] {
      chown(place, 65_534, 65_534)
      let said = message { () throws(IOError) in try PrivateFiles.refuseShared(scratch.path, withContent: true) }
      #expect(said.contains("belongs to the user with the number 65534") && said.contains(command), "\(said)")
      let foreign = message { () throws(IOError) in
        try PrivateFiles.refuseShared(scratch.path, withContent: true, isForeign: true)
      }
      #expect(foreign == "")
      #expect(try PrivateFiles.read(key) == Array("key".utf8))
      chown(place, 0, 0)
    }
  }

  @Test("what is no file of a key's size is told, and nobody waits for a pipe's other end")
  func otherThings() throws {
    let scratch = try Scratch()
    let path = "\(scratch.path)/key.pem"
    #expect(mkfifo(path, 0o600) == 0)
    #expect(message { () throws(IOError) in _ = try PrivateFiles.read(path) }.contains("is no file, but a pipe"))
    unlink(path)
    mkdir(path, 0o700)
    #expect(message { () throws(IOError) in _ = try PrivateFiles.read(path) }.contains("is no file, but a directory"))
    rmdir(path)
    try Files.writeAtomically(path, [])
    truncate(path, 1 << 30)
    #expect(message { () throws(IOError) in _ = try PrivateFiles.read(path) }.contains("File too large"))
    unlink(path)
    symlink(path, path)
    #expect(message { () throws(IOError) in _ = try PrivateFiles.read(path) }.contains("Too many levels"))
  }
}
