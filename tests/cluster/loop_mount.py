"""File systems of their own for tests: ext4 and XFS on a loop device, tmpfs. They need root."""
import fcntl
import os
import shutil
import struct
import subprocess
import time

IMAGE_MIB = 320  # XFS wants 300; a file with holes
MAKE = {'ext4': ['mkfs.ext4', '-q'], 'xfs': ['mkfs.xfs', '-q', '-f']}
XFS_IOC_GOINGDOWN, XFS_NO_LOG_FLUSH = 0x8004587d, 2
BUSY_SECONDS = 20


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True,
                          env={**os.environ, 'PATH': os.environ.get('PATH', '') + ':/usr/sbin:/sbin'})
    if done.returncode != 0:
        raise OSError(f'{" ".join(command)}: {done.stderr.strip()}')
    return done.stdout.strip()


def patiently(action):
    """The ring of a process that was killed lets go of its files a little later, and so does a loop device."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return action()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


class LoopMount:
    """`kind` on `point`, made new; with LoopMount(...): unmounted and removed at the end."""

    def __init__(self, kind, point, mib=IMAGE_MIB):
        self.kind, self.point, self.mib = kind, point, mib
        self.image = point + '.image'

    def __enter__(self):
        os.makedirs(self.point, exist_ok=True)
        if self.kind != 'tmpfs':
            with open(self.image, 'wb') as file:
                file.truncate(self.mib << 20)
            run(*MAKE[self.kind], self.image)
        self.mount()
        return self

    def __exit__(self, kind, value, trace):
        self.umount()
        if os.path.exists(self.image):
            os.unlink(self.image)

    def mount(self):
        if self.kind == 'tmpfs':
            run('mount', '-t', 'tmpfs', '-o', f'size={self.mib}m', 'none', self.point)
        elif self.kind == 'ext4':
            run('mount', '-o', 'loop,errors=remount-ro', self.image, self.point)
        else:
            run('mount', '-o', 'loop', self.image, self.point)

    def is_mounted(self):
        """By the kernel's word: os.path.ismount() takes a file system that is shut down for none."""
        with open('/proc/self/mounts') as mounts:
            return any(line.split()[1] == self.point for line in mounts)

    def umount(self):
        while self.is_mounted():
            patiently(lambda: run('umount', self.point))

    def again(self):
        """What only the file system remembers is lost. (Not a tmpfs.)"""
        self.umount()
        patiently(self.mount)

    def break_down(self):
        """As after an error of the device: ext4 goes read-only, XFS shuts down."""
        if self.kind == 'ext4':
            device = run('findmnt', '-n', '-o', 'SOURCE', self.point)
            with open(f'/sys/fs/ext4/{os.path.basename(device)}/trigger_fs_error', 'w') as file:
                file.write('1')
            return
        fd = os.open(self.point, os.O_RDONLY)
        fcntl.ioctl(fd, XFS_IOC_GOINGDOWN, struct.pack('I', XFS_NO_LOG_FLUSH))
        os.close(fd)

    def fill(self, leave_kib):
        """A file that takes all the room but so much; unlink it to give it back."""
        path = self.point + '/filler'
        fd = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)

        def allocate():  # others take room meanwhile
            os.posix_fallocate(fd, 0, max(shutil.disk_usage(self.point).free - (leave_kib << 10), 4096))
        patiently(allocate)
        os.close(fd)
        return path


def cant(folder):
    """Why file systems can't be mounted here; None: they can."""
    if os.geteuid() != 0:
        return 'mounting a file system needs root'
    for kind, command in MAKE.items():
        if shutil.which(command[0], path=os.environ.get('PATH', '') + ':/usr/sbin:/sbin') is None:
            return f'{command[0]} is missing; `scripts/setup --test` installs it'
    try:
        for kind in ('ext4', 'xfs', 'tmpfs'):
            with LoopMount(kind, f'{folder}/try'):
                pass
    except OSError as error:
        return f'a file system on a loop device is refused here: {error}'
    return None
