#!/bin/sh
# setup.sh: finds what the native backend needs and installs what is missing.
#
#   third_party/setup.sh            a C++ compiler, OpenBLAS, Highway
#   third_party/setup.sh --test     and what the C++ tests need: CMake, GoogleTest, google-benchmark; on
#                                   Debian also Chromium, for the tests of HTML pages
#   third_party/setup.sh --lint     and clang-format, clang-tidy
#   third_party/setup.sh --check    installs nothing: names what is missing on stdout, if anything
#
# A thing counts as there when a program that uses it compiles and links with the compiler and flags
# that cgo would use (go env CXX, CGO_CXXFLAGS, CGO_LDFLAGS), wherever it was installed from.
# On Debian and Ubuntu what is missing is installed with apt-get; elsewhere the command for that
# system is printed and left to you. Nothing is printed when nothing is missing.
#
# Exit status:
#   0  all there, or installed
#   2  a wrong argument
#   3  something is missing and was not installed; the pure-Go backend works without it
#   4  Go is missing or too old; nothing works without it
set -u

root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
check=false
test=false
lint=false
for argument in "$@"; do
	case $argument in
	--check) check=true ;;
	--test) test=true ;;
	--lint) lint=true ;;
	-h | --help)
		sed -n '2,/^set -u/{s/^# \{0,1\}//;/^set -u/d;p;}' "$0"
		exit 0
		;;
	*)
		echo "setup.sh: unknown argument $argument (known: --check, --test, --lint)" >&2
		exit 2
		;;
	esac
done

say() { printf '%s\n' "$*" >&2; }

have() { command -v "$1" >/dev/null 2>&1; }

# pinned NAME: the value of NAME in versions.mk.
pinned() { sed -n "s/^$1 := //p" "$root/third_party/versions.mk"; }

# at_least HAVE WANT: compares the first three numbers of two versions.
at_least() {
	printf '%s %s\n' "$1" "$2" | awk '{
		split($1, have, /[^0-9]+/); split($2, want, /[^0-9]+/)
		for (i = 1; i <= 3; i++) if (have[i] + 0 != want[i] + 0) exit !(have[i] + 0 > want[i] + 0)
	}'
}

# --- Go -------------------------------------------------------------------------------------------

check_go() {
	want=$(sed -n 's/^go //p' "$root/go.mod")
	if ! have go; then
		say "setup: Go is not installed: everything here needs it, version $want or newer."
		say "setup: get it from https://go.dev/dl or your system's packages, put it on PATH and run this again."
		exit 4
	fi
	# From / and with GOTOOLCHAIN=local, so that asking for the version doesn't fetch a toolchain.
	found=$(cd / && GOTOOLCHAIN=local go version | sed -n 's/.*go\([0-9][0-9.]*\).*/\1/p')
	if at_least "$found" "$want"; then
		return
	fi
	if at_least "$found" 1.21 && [ "$(cd / && GOTOOLCHAIN=local GOFLAGS='' go env GOTOOLCHAIN)" != local ] &&
		[ "${GOTOOLCHAIN:-}" != local ]; then
		say "setup: Go $found is older than $want, which go.mod asks for: the go command will fetch that toolchain itself."
		return
	fi
	say "setup: Go $found is too old: everything here needs $want or newer (go.mod)."
	say "setup: get it from https://go.dev/dl or your system's packages, put it on PATH and run this again."
	exit 4
}

# --- what is there --------------------------------------------------------------------------------

# links SOURCE [FLAG...]: whether the C++ program in SOURCE compiles and links.
links() {
	source=$1
	shift
	# Unquoted: compiler and flags may be several words.
	# shellcheck disable=SC2086
	printf '%s\n' "$source" | $cxx -std=c++17 -O0 -w $cppflags $cxxflags -x c++ - -o "$scratch/probe" \
		"$@" $ldflags >"$scratch/log" 2>&1
}

compiler_source='#include <string>
int compiler() { return static_cast<int>(std::string("c++17").size()); }'

# The headers where csrc looks for them. LAPACK and the thread setting too: a BLAS that has neither is
# not enough. LAPACK has no header here.
openblas_source='#if __has_include(<cblas-openblas.h>)
#include <cblas-openblas.h>
#elif __has_include(<openblas/cblas.h>)
#include <openblas/cblas.h>
#else
#include <cblas.h>
#endif
extern "C" { void dpotrf_(); void dsyevd_(); }
int openblas() {
	float x = 1;
	cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, 1, 1, 1, 1, &x, 1, &x, 1, 0, &x, 1);
	dpotrf_(); dsyevd_();
	return openblas_get_num_threads();
}'

highway_source() {
	min=$(pinned HIGHWAY_MIN)
	cat <<-EOF
		#include <hwy/highway.h>
		#if HWY_MAJOR * 1000 + HWY_MINOR < ${min%%.*} * 1000 + ${min#*.}
		#error Highway is older than $min
		#endif
		#if !__has_include(<hwy/foreach_target.h>)
		#error Highway is here in part
		#endif
		int highway() { return static_cast<int>(hwy::SupportedTargets() & 1); }
	EOF
}

# Declared here, not included: GoogleTest's headers alone take a second to compile.
gtest_source='#if !__has_include(<gtest/gtest.h>)
#error no gtest
#endif
namespace testing { void InitGoogleTest(int*, char**); }
int gtest() { testing::InitGoogleTest(nullptr, nullptr); return 0; }'

benchmark_source='#if !__has_include(<benchmark/benchmark.h>)
#error no benchmark
#endif
namespace benchmark { void Shutdown(); }
int benchmarks() { benchmark::Shutdown(); return 0; }'

main_source='int main(int argc, char**) { return argc > 9; }'

# there THING: whether THING can be used.
there() {
	case $1 in
	compiler) # cgo compiles its own C with CC
		links "$compiler_source $nl $main_source" &&
			printf '#include <stdlib.h>\nint main(void) { return 0; }\n' |
			$cc -x c - -o "$scratch/probe" >"$scratch/log" 2>&1
		;;
	openblas) links "$openblas_source $nl $main_source" -lopenblas ;;
	highway) links "$(highway_source) $nl $main_source" -lhwy ;;
	cmake)
		have cmake && have ctest &&
			at_least "$(cmake --version | sed -n 's/^cmake version //p')" "$(pinned CMAKE_MIN)"
		;;
	gtest) links "$gtest_source $nl $main_source" -lgtest -pthread ;;
	benchmark) links "$benchmark_source $nl $main_source" -lbenchmark -pthread ;;
	sanitizers)
		links "$main_source" -fsanitize=address,undefined && links "$main_source" -fsanitize=thread
		;;
	clang-format | clang-tidy)
		have "$1-$clang" || "$1" --version 2>/dev/null | grep -q "version $clang\."
		;;
	esac
}

# missing: those of the wanted things that are not there. Without a compiler none of what it would
# try counts as there; what the last compiler to fail said is left in the file why.
missing() {
	# One compilation settles the usual case, that all is there.
	if links "$compiler_source $nl $openblas_source $nl $(highway_source) $nl $main_source" -lopenblas -lhwy; then
		things=
	else
		things="compiler openblas highway"
	fi
	$test && things="$things cmake gtest benchmark sanitizers"
	$lint && things="$things clang-format clang-tidy"
	for thing in $things; do
		: >"$scratch/log"
		if there "$thing"; then
			continue
		fi
		printf '%s ' "$thing"
		[ ! -s "$scratch/log" ] || cp "$scratch/log" "$scratch/why"
	done
}

title() {
	case $1 in
	compiler) printf 'a C++17 compiler' ;;
	openblas) printf 'OpenBLAS with LAPACK' ;;
	highway) printf 'Highway %s or newer' "$(pinned HIGHWAY_MIN)" ;;
	cmake) printf 'CMake %s or newer' "$(pinned CMAKE_MIN)" ;;
	gtest) printf 'GoogleTest' ;;
	benchmark) printf 'google-benchmark' ;;
	sanitizers) printf 'the sanitizer libraries of %s' "$cxx" ;;
	*) printf '%s %s' "$1" "$clang" ;;
	esac
}

titles() {
	separator=
	for thing in "$@"; do
		printf '%s%s' "$separator" "$(title "$thing")"
		separator=', '
	done
}

# --- how to get it --------------------------------------------------------------------------------

find_manager() {
	for manager in apt-get dnf zypper pacman apk brew; do
		if have "$manager"; then
			return
		fi
	done
	manager=none
}

package() {
	case $manager:$1 in
	apt-get:compiler) echo g++ ;;
	apt-get:openblas) echo libopenblas-dev ;;
	apt-get:highway) echo libhwy-dev ;;
	apt-get:gtest) echo libgtest-dev ;;
	apt-get:benchmark) echo libbenchmark-dev ;;
	apt-get:sanitizers) case $cxx in *clang*) echo libclang-rt-dev ;; *) echo g++ ;; esac ;;
	apt-get:clang-*) echo "$1-$clang" ;;
	dnf:compiler | zypper:compiler) echo gcc-c++ ;;
	dnf:openblas) echo openblas-devel ;;
	zypper:openblas) echo openblas-common-devel libopenblas_pthreads-devel ;;
	dnf:highway) echo highway-devel ;;
	zypper:highway) echo "'pkgconfig(libhwy)'" ;;
	dnf:gtest) echo gtest-devel ;;
	dnf:benchmark) echo google-benchmark-devel ;;
	dnf:sanitizers) echo libasan libubsan libtsan ;;
	dnf:clang-*) echo "clang-tools-extra" ;;
	zypper:benchmark) echo benchmark-devel ;;
	zypper:sanitizers) echo gcc-c++ ;;
	zypper:clang-*) echo clang-tools ;;
	pacman:compiler | pacman:sanitizers) echo gcc ;;
	pacman:openblas) echo openblas blas-openblas ;;
	pacman:clang-*) echo clang ;;
	apk:compiler) echo g++ ;;
	apk:openblas | apk:highway | apk:gtest | apk:benchmark) echo "$1-dev" ;;
	apk:sanitizers) ;; # musl's gcc has none; clang has
	apk:clang-*) echo clang-extra-tools ;;
	brew:compiler | brew:sanitizers) ;; # xcode-select --install
	brew:gtest) echo googletest ;;
	brew:benchmark) echo google-benchmark ;;
	brew:clang-*) echo "llvm@$clang" ;;
	*) echo "$1" ;;
	esac
}

packages() {
	list=
	for thing in "$@"; do
		for name in $(package "$thing"); do
			case " $list " in
			*" $name "*) ;;
			*) list="$list${list:+ }$name" ;;
			esac
		done
	done
	printf '%s' "$list"
}

# What apt-get runs with: it waits for another apt-get that holds the lock, and asks no questions.
apt="apt-get -q -o DPkg::Lock::Timeout=300"
noninteractive="env DEBIAN_FRONTEND=noninteractive"

# command_for THING...: the command that installs them, as it is printed and, for apt-get, run.
command_for() {
	list=$(packages "$@")
	case $manager in
	apt-get) echo "$sudo$apt update; $sudo$noninteractive $apt install -y --no-install-recommends $list" ;;
	dnf) echo "sudo dnf install $list" ;;
	zypper) echo "sudo zypper install $list" ;;
	pacman) echo "sudo pacman -S --needed $list" ;;
	apk) echo "apk add $list" ;;
	brew)
		case " $* " in *" compiler "*) printf 'xcode-select --install; ' ;; esac
		echo "brew install $list"
		;;
	none) echo "(no package manager known here: install $(titles "$@") in this system's way)" ;;
	esac
}

# elsewhere: OpenBLAS and Highway may be installed where the compiler doesn't look; says what to set.
elsewhere() {
	for prefix in \
		/opt/homebrew/include,/opt/homebrew/opt/openblas/include:/opt/homebrew/lib,/opt/homebrew/opt/openblas/lib \
		/usr/local/include,/usr/local/opt/openblas/include:/usr/local/lib,/usr/local/opt/openblas/lib; do
		includes=$(printf '%s' "${prefix%%:*}" | sed 's/,/ -I/; s/^/-I/')
		libraries=$(printf '%s' "${prefix#*:}" | sed 's/,/ -L/; s/^/-L/')
		# shellcheck disable=SC2086
		if links "$openblas_source $nl $(highway_source) $nl $main_source" $includes $libraries -lopenblas -lhwy; then
			say "setup: OpenBLAS and Highway are installed where $cxx doesn't look. Set this, then run it again:"
			say "  export CGO_CXXFLAGS='-O2 -g $includes'"
			say "  export CGO_LDFLAGS='-O2 -g $libraries'"
			return 0
		fi
	done
	return 1
}

give_up() {
	say "setup: $*"
	case $absent in
	*compiler* | *openblas* | *highway*)
		say "setup: the pure-Go backend works without (make build uses it by itself), several times slower."
		;;
	*) say "setup: building and training work without." ;;
	esac
	exit 3
}

install() {
	# Unquoted: lists of names.
	# shellcheck disable=SC2086
	{
		say "setup: missing: $(titles $absent)"
		if [ "$manager" != apt-get ]; then
			say "setup: this installs it:"
			say "  $(command_for $absent)"
			give_up "it is not run for you on this system."
		fi
		if [ "$(id -u)" -ne 0 ]; then
			if ! have sudo; then
				say "setup: as root, this installs it:"
				say "  $(command_for $absent)"
				give_up "you are not root and there is no sudo."
			fi
			sudo='sudo '
			if ! sudo -n true 2>/dev/null && ! { [ -t 0 ] && [ -t 2 ]; }; then
				say "setup: this installs it:"
				say "  $(command_for $absent)"
				give_up "sudo wants a password and there is no terminal to ask for it."
			fi
		fi
		list=$(packages $absent)
		say "setup: will install $list:"
		say "  $(command_for $absent)"
		$sudo$apt update >&2 ||
			say "setup: apt-get update failed; trying with the package lists that are there."
		$sudo$noninteractive $apt install -y --no-install-recommends $list >&2 ||
			give_up "apt-get could not install $list."
	}
}

# A browser is for a few tests, which are skipped without one: having none is no failure, and it is
# installed only where that asks for nothing. Ubuntu's package is not a browser but a snap's installer.
offer_browser() {
	if have chromium || have chromium-browser || have google-chrome; then
		return
	fi
	find_manager
	if [ "$manager" = apt-get ] && grep -qs '^ID=debian' /etc/os-release &&
		{ [ "$(id -u)" -eq 0 ] || sudo -n true 2>/dev/null; }; then
		[ "$(id -u)" -eq 0 ] || sudo='sudo '
		command="$sudo$apt update; $sudo$noninteractive $apt install -y --no-install-recommends chromium"
		say "setup: will install chromium, for the tests of HTML pages:"
		say "  $command"
		(eval "$command") >&2 && return
	fi
	say "setup: no chromium is installed: the tests of HTML pages in a browser will be skipped."
}

# --- main -----------------------------------------------------------------------------------------

nl='
'
sudo=
check_go
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
clang=$(pinned CLANG_VERSION)

# What cgo would use; one value a line. From / for the reason above: none of these depends on the module.
{
	read -r cc
	read -r cxx
	read -r cppflags
	read -r cxxflags
	read -r ldflags
} <<EOF
$(cd / && GOTOOLCHAIN=local go env CC CXX CGO_CPPFLAGS CGO_CXXFLAGS CGO_LDFLAGS)
EOF

absent=$(missing)
# shellcheck disable=SC2086
if $check; then
	[ -n "$absent" ] || exit 0
	titles $absent
	echo
	exit 3
fi
if [ -n "$absent" ]; then
	case $absent in
	*openblas* | *highway*) case $absent in *compiler*) ;; *) elsewhere && exit 3 ;; esac ;;
	esac
	find_manager
	install
	absent=$(missing)
	# shellcheck disable=SC2086
	[ -z "$absent" ] || give_up "the packages are there, and yet these can't be used: $(titles $absent); the compiler said:
$(sed 5q "$scratch/why" 2>/dev/null)"
fi
if $test; then
	offer_browser
fi
