// The register of a directory's keepers: whom a new keeper may say that it has swept, and when it is a stranger.

import AgentCore
import ClusterProto
import Testing

@Suite("The keepers' register") struct KeeperRegisterTests {
  private func place(
    _ directory: String = "8:17:100", lasting: Bool = true, boot: String = "boot-1", sight: String = "4026531836/0"
  ) -> KeeperPlace {
    KeeperPlace(directory: directory, isLasting: lasting, bootID: boot, sight: sight)
  }

  /// A register that keepers a and b have entered, as a file gives it back.
  private func used(lasting: Bool = true) -> KeeperRegister {
    var register = KeeperRegister()
    _ = register.enter("a", at: place(lasting: lasting), freshMark: "first")
    _ = register.enter("b", at: place(lasting: lasting), freshMark: "second")
    return KeeperRegister(json: register.json)
  }

  @Test("keepers of one directory on one kernel share its mark, and each has swept those before it")
  func successors() {
    var register = used()
    let entry = register.enter("c", at: place(), freshMark: "third")
    #expect(entry == KeeperRegister.Entry(mark: "first", sweptKeepers: ["a", "b"], isForeign: false))
  }

  @Test("a moved or copied directory is another one: a fresh mark, nobody swept, also by those who come later")
  func copies() {
    for copy in ["8:18:100", "9:17:100", "8:17:101"] {
      var register = used()
      let entry = register.enter("c", at: place(copy), freshMark: "third")
      #expect(entry == KeeperRegister.Entry(mark: "third", sweptKeepers: [], isForeign: true))
      var copied = KeeperRegister(json: register.json)
      #expect(copied.enter("d", at: place(copy), freshMark: "fourth").sweptKeepers == ["c"])
    }
  }

  @Test("after a boot the mark stays, and a sweep speaks for nobody before it")
  func boots() {
    var register = used()
    let entry = register.enter("c", at: place(boot: "boot-2"), freshMark: "third")
    #expect(entry == KeeperRegister.Entry(mark: "first", sweptKeepers: [], isForeign: false))
  }

  @Test("a keeper in another PID namespace, or of another user, cannot have seen the old one's pods")
  func sights() {
    var register = used()
    #expect(register.enter("c", at: place(sight: "1/0"), freshMark: "third").sweptKeepers == [])
    #expect(register.enter("d", at: place(), freshMark: "third").sweptKeepers == ["a", "b"])
  }

  @Test("where a file system tells no birth, the same device and inode after a boot are another directory")
  func unlasting() {
    var register = used(lasting: false)
    #expect(register.enter("c", at: place(lasting: false), freshMark: "x").sweptKeepers == ["a", "b"])
    let entry = register.enter("d", at: place(lasting: false, boot: "boot-2"), freshMark: "third")
    #expect(entry == KeeperRegister.Entry(mark: "third", sweptKeepers: [], isForeign: true))
  }

  @Test("a register that is not understood proves nothing")
  func damaged() throws {
    for text in ["{}", "[]", #"{"mark":"m","directory":"8:17:100","keepers":[{"keeper":"a"}]}"#] {
      var register = KeeperRegister(json: try JSON(parsing: Array(text.utf8)))
      let entry = register.enter("c", at: place(), freshMark: "fresh")
      #expect(entry == KeeperRegister.Entry(mark: "fresh", sweptKeepers: [], isForeign: false))
    }
  }

  @Test("it remembers the last 64")
  func bounded() {
    var register = KeeperRegister()
    for number in 0..<200 { _ = register.enter("\(number)", at: place(), freshMark: "m") }
    #expect(register.enter("last", at: place(), freshMark: "m").sweptKeepers.count == 64)
  }
}
